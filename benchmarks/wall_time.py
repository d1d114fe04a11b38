"""Validation loss against wall time, whole processes: nanoGPT's CPU configuration, the loop people write, and ours.

    python benchmarks/wall_time.py --nanogpt FOLDER --text FILE [--rounds 3] [--out FILE.json]

`--nanogpt` is a checkout of karpathy/nanoGPT, which is copied and trained as its README says for a CPU; `today` is
benchmarks/today.py, the same model in windows of 32 x 64 with Adam at char-rnn's rate; `ours` is `python train.py
experiment=shakespeare_quick`, and `ours, short` the same for so many smaller steps as it needs to nanoGPT's. All on
all cores, strictly in turn. A loss counts from when its line was written, so start-up and validations count. nanoGPT's
are of 20 random batches; ours, of the whole split.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from figures import record, save, spread

ROOT = Path(__file__).resolve().parents[1]
NANOGPT = (
    *("train.py", "config/train_shakespeare_char.py", "--device=cpu", "--compile=False", "--eval_iters=20"),
    *("--log_interval=1", "--block_size=64", "--batch_size=12", "--n_layer=4", "--n_head=4", "--n_embd=128"),
    *("--max_iters=2000", "--lr_decay_iters=2000", "--dropout=0.0"),
)
SHORT = ("trainer.max_steps=100", "data.batch_size=32")
"""What the short run says besides."""
TODAY_LR = 2e-3
"""char-rnn's."""
TODAY_EPOCHS = 8


def curve(command: list[str], folder: Path, losses: re.Pattern[str]) -> list[tuple[float, float]]:
    """(seconds since the process began, validation loss) of each line that `losses` finds one in."""
    paths = os.pathsep.join((str(ROOT / "src"), str(ROOT / "benchmarks")))
    began = time.perf_counter()
    found: list[tuple[float, float]] = []
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONUNBUFFERED": "1", "COLUMNS": "120"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if match := losses.search(line):
                found.append((round(time.perf_counter() - began, 2), float(match[1])))
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit status {process.returncode}")
    end = time.perf_counter() - began
    return [*found, (round(end, 2), found[-1][1])]


def today(path: Path) -> None:
    """Train the loop of benchmarks/today.py, with a line after each half epoch: what this script starts as `today`."""
    from today import Model, training_steps

    text = path.read_text(encoding="utf-8")
    letters = {letter: number for number, letter in enumerate(sorted(set(text)))}
    ids = torch.tensor([letters[letter] for letter in text])
    cut = int(len(ids) * 0.9)
    train, validation = (part[: (len(part) - 1) // 32 * 32 + 1] for part in (ids[:cut], ids[cut:]))
    model = Model(len(letters), 128, 256, 1)

    def columns(part: torch.Tensor) -> torch.Tensor:
        return part.view(32, -1).t().contiguous()

    @torch.no_grad()
    def loss() -> float:
        logits, _ = model(columns(validation[:-1]), model.zero_state(32))
        return float(torch.nn.functional.cross_entropy(logits, columns(validation[1:]).reshape(-1)))

    window = 64
    half = len(train) // 32 // window // 2
    steps = training_steps(model, [(columns(train[:-1]), columns(train[1:]))], window, TODAY_LR, 5.0)
    for _ in range(2 * TODAY_EPOCHS):
        for _ in range(half):
            next(steps)
        print(f"val {loss():.4f}")


def contenders(nanogpt: Path, text: Path, folder: Path) -> Iterator[tuple[str, list[str], Path, re.Pattern[str]]]:
    """Name, command, where it runs, what its lines look like."""
    quick = [str(ROOT / "train.py"), f"data.path={text}", "experiment=shakespeare_quick", "callbacks.samples.length=0"]
    ours = re.compile(r"\bval\s+(\d+\.\d+)")
    yield "nanoGPT", list(NANOGPT), nanogpt, re.compile(r"val loss (\d+\.\d+)")
    yield "today", [str(Path(__file__)), "--today", str(text)], folder, ours
    yield "ours", [*quick, "trainer.val_check_interval=0.25"], folder, ours
    yield "ours, short", [*quick, *SHORT], folder, ours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nanogpt", type=Path, help="a checkout of karpathy/nanoGPT")
    parser.add_argument("--text", type=Path, help="tiny Shakespeare")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="write the figures there, as JSON")
    parser.add_argument("--today", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.today is not None:
        today(arguments.today)
        return
    curves: dict[str, list[list[tuple[float, float]]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, text = Path(name), arguments.text.resolve()
        nanogpt = folder / "nanoGPT"
        shutil.copytree(arguments.nanogpt, nanogpt)
        data = nanogpt / "data" / "shakespeare_char"
        shutil.copyfile(text, data / "input.txt")
        subprocess.run([sys.executable, "prepare.py"], cwd=data, check=True, stdout=subprocess.DEVNULL)
        for _ in range(arguments.rounds):
            for contender, command, where, losses in contenders(nanogpt, text, folder):
                curves.setdefault(contender, []).append(curve(command, where, losses))
                seconds, loss = curves[contender][-1][-1]
                print(f"{contender:12} {loss:.4f} after {seconds:.1f} s", flush=True)
    ratios = [
        theirs[-1][0] / ours[-1][0] for theirs, ours in zip(curves["nanoGPT"], curves["ours, short"], strict=True)
    ]
    results: dict[str, Any] = {
        "curves": curves,
        "final": {name: spread([one[-1][1] for one in each], 4) for name, each in curves.items()},
        "seconds": {name: spread([one[-1][0] for one in each], 1) for name, each in curves.items()},
        "nanogpt_over_short": spread(ratios, 2),
    }
    settings = {
        "rounds": arguments.rounds,
        "nanogpt": " ".join(NANOGPT),
        "short": " ".join(SHORT),
        "today_lr": TODAY_LR,
    }
    save(record("wall_time", torch.device("cpu"), settings, results), arguments.out)
    print(f"nanoGPT's time over ours, short: {results['nanogpt_over_short']}")


if __name__ == "__main__":
    main()
