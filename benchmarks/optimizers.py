"""Loss against steps and seconds: AdamW, Muon (whole, by gates), SGD and RMSprop, each at its own best learning rate.

    python benchmarks/optimizers.py [SETTING ...] --text FILE [--jobs 2] [--stage STAGE ...]

Each run is a process of its own, `python train.py` on one thread, which shares its cores with `--jobs` - 1 others:
losses do not depend on that. Everything is kept in `benchmarks/results/optimizers/SETTING.json` as it is found, and
what is there is not run again. Stages, all of them if none is named:

rates    one seed, the whole length: three learning rates, a factor of 2 apart, and the next beyond while the best is at
         an edge: the same rule and start for all settings, whatever it costs
others   AdamW and Muon at the best of them: each of OTHERS, which the first rates had not; Muon of LONG, whole and by
         gates: DAMPED, too
seeds    AdamW and Muon: two seeds more of the two best, of which the one with the lower median counts; not for LONG
lengths  Muon's runs of 1/2 and 3/4 of the length, each with a schedule of its own: when does it reach AdamW's loss?
times    what a step takes, AdamW's and Muon's turn by turn, alone on all cores; then the same as on an AVX2 machine,
         which is all that such a machine can time
costs    the same of two shapes, by gates, too, kept in costs.json: the part of a step that is Muon's
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from figures import record, save, spread

from lstm_lm.forward.hardware import cpu_has_bfloat16
from lstm_lm.runs.summary import git_commit

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results" / "optimizers"

SHAKESPEARE = ("data=tinyshakespeare", "data.path={text}")
ONE_LAYER = ("model.num_layers=1", "model.embedding_size=128", "model.hidden_size=256", "data.seq_len=64")
TWO_LAYERS = ("model.num_layers=2", "model.embedding_size=128", "model.hidden_size=256", "data.seq_len=64")
DROPPED = ("model.init=orthogonal", "model.dropout=0.5", "model.locked_dropout=true")
SETTINGS: dict[str, tuple[tuple[str, ...], int]] = {
    "chars": ((*SHAKESPEARE, *ONE_LAYER), 2),
    "chars_512": (
        (
            *(*SHAKESPEARE, "model.num_layers=2", "model.embedding_size=128", "model.hidden_size=512"),
            *("data.seq_len=64", "model.dropout=0.35"),
        ),
        1,
    ),
    "bpe": ((*SHAKESPEARE, "tokenizer=bpe", *TWO_LAYERS, *DROPPED, "data.batch_size=64", "data.seq_len=100"), 5),
    "words": (
        (*SHAKESPEARE, "tokenizer=word", "tokenizer.vocabulary_size=4000", *ONE_LAYER, "model.dropout=0.2"),
        2,
    ),
    "gru": ((*SHAKESPEARE, "model=gru", *TWO_LAYERS), 1),
    "python_docs": (("data=python_docs", *ONE_LAYER), 4),
    "python_source": (("data=text", "data.path={stdlib}/asyncio/*.py", "data.validation_fraction=0.1", *ONE_LAYER), 3),
}
"""What is trained, and for how many epochs."""
LONG = ("chars_512",)
"""A run takes more than five minutes of one core: one seed."""
GATES = {"gru": 3}
SLOW = "optimizer.betas=[0.9,0.99] optimizer.weight_decay=0.1"
OTHERS = (
    "optimizer.betas=[0.9,0.95] optimizer.weight_decay=0.1",
    "optimizer.betas=[0.9,0.99] optimizer.weight_decay=0.01",
)
"""Of AdamW's steps and of the decay, in place of SLOW."""
DAMPED = f"{SLOW} optimizer.damping=3"
"""Muon's alone, for LONG, whose layers are wide and have much dropout."""
BY_GATES = "muon by gates"
OPTIMIZERS: dict[str, tuple[str, float]] = {
    "adamw": ("optimizer=adamw", 1e-2),
    "muon": ("optimizer=muon", 1e-2),
    BY_GATES: ("optimizer=muon optimizer.blocks={gates}", 1e-2),
    "sgd": ("optimizer=sgd trainer.gradient_clip_val=0.25", 8.0),
    "rmsprop": ("optimizer=rmsprop optimizer.alpha=0.95", 4e-3),
}
"""How each is asked for, and the middle one of its first three rates."""
COMPARED = ("adamw", "muon")
PLAIN = ("sgd", "rmsprop")
"""Neither SLOW nor OTHERS are for them."""
STAGES = ("rates", "others", "seeds", "lengths", "times", "costs")
MOST_RATES = 6
SEEDS = (1, 2, 3)
LENGTHS = (0.5, 0.75)
AS_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
KINDS: dict[str, dict[str, str]] = {"as it is": {}, "as AVX2": AS_AVX2}
ROUNDS, TIMED_STEPS = 3, 40
COSTS = {
    "default": (),
    "L=2 H=512 B=64 T=100": ("model.hidden_size=512", "data.batch_size=64", "data.seq_len=100"),
}
"""Shapes, on the default text."""

Run = dict[str, Any]
Choice = tuple[float, str]
"""A learning rate, and SLOW, one of OTHERS, or nothing."""
SAVING = Lock()


class Setting:
    """One row of SETTINGS, and what has been found of it."""

    def __init__(self, name: str, text: Path, out: Path) -> None:
        self.name, self.path = name, out / f"{name}.json"
        self.overrides = [each.format(text=text, stdlib=Path(os.__file__).parent) for each in SETTINGS[name][0]]
        self.epochs = SETTINGS[name][1]
        self.seeds = SEEDS[:1] if name in LONG else SEEDS
        found = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.runs: list[Run] = found.get("runs", [])
        self.times: dict[str, Any] = found.get("times", {})

    def save(self) -> None:
        typed = {"setting": self.name, "overrides": SETTINGS[self.name][0], "epochs": self.epochs}
        order = ("optimizer", "length", "options", "lr", "seed")
        kept = sorted(self.runs, key=lambda run: [run[key] for key in order])
        save(record("optimizers", torch.device("cpu"), typed, {"runs": kept, "times": self.times}), self.path)

    def options(self, optimizer: str, choice: Choice) -> list[str]:
        options = OPTIMIZERS[optimizer][0].format(gates=GATES.get(self.name, 4))
        return [*self.overrides, *options.split(), *choice[1].split(), f"optimizer.lr={choice[0]:g}"]

    def train(self, optimizer: str, choice: Choice, seed: int, length: float = 1) -> None:
        """One run on one thread, if it has not been made."""
        known = {"optimizer": optimizer, "options": choice[1], "lr": choice[0], "seed": seed, "length": length}
        if any(known.items() <= run.items() for run in self.runs):
            return
        epochs = self.epochs * length
        limit = [f"trainer.max_epochs={math.ceil(epochs)}"]
        if epochs != int(epochs):
            limit.append(f"trainer.max_steps={round(self.steps_per_epoch() * epochs)}")
        every = "trainer.val_check_interval=0.5"
        values = trained([*self.options(optimizer, choice), f"seed={seed}", *limit, every, "runtime.threads=1"], {})
        with SAVING:
            self.runs.append({**known, "git_commit": git_commit(), **values})
            self.save()
        print(f"{self.name:14} {' '.join(map(str, known.values()))}: {values['loss']}", flush=True)

    def steps_per_epoch(self) -> float:
        whole = next(run for run in self.runs if run["length"] == 1 and run["loss"])
        return float(whole["steps"] / self.epochs)

    def rates(self, optimizer: str) -> None:
        """The least loss has a worse one on each side, or as many rates as may be were tried."""
        middle, options = OPTIMIZERS[optimizer][1], "" if optimizer in PLAIN else SLOW
        rates = [middle / 2, middle, middle * 2]
        for lr in rates:
            self.train(optimizer, (lr, options), SEEDS[0])
        while len(rates) < MOST_RATES and (best := ranking(self.runs, optimizer)[0][0]) in (rates[0], rates[-1]):
            rates = [rates[0] / 2, *rates] if best == rates[0] else [*rates, rates[-1] * 2]
            self.train(optimizer, (rates[0] if best == rates[1] else rates[-1], options), SEEDS[0])

    def others(self, optimizer: str) -> None:
        lr = next(lr for lr, options in ranking(self.runs, optimizer) if options == SLOW)
        damped = [DAMPED] if self.name in LONG and optimizer != "adamw" else []
        for options in [*(OTHERS if optimizer in COMPARED else ()), *damped]:
            self.train(optimizer, (lr, options), SEEDS[0])

    def more_seeds(self, optimizer: str) -> None:
        for choice, seed in product(ranking(self.runs, optimizer)[:2], self.seeds[1:]):
            self.train(optimizer, choice, seed)

    def lengths(self, optimizer: str) -> None:
        for length, seed in product(LENGTHS, self.seeds):
            self.train(optimizer, chosen(self.runs, optimizer), seed, length)

    def time(self) -> None:
        for kind, environment in KINDS.items() if cpu_has_bfloat16() else [("as AVX2", {})]:
            self.times[kind] = step_times({name: self.options(name, (1e-3, SLOW)) for name in COMPARED}, environment)
            self.save()
            print(f"{self.name:14} {kind}: {self.times[kind]}", flush=True)


def ranking(runs: Sequence[Run], optimizer: str) -> list[Choice]:
    """What was tried with the first seed, the whole length, the least loss first; one that diverged is the last."""
    tried = [run for run in runs if (run["optimizer"], run["length"], run["seed"]) == (optimizer, 1, SEEDS[0])]
    return [(run["lr"], run["options"]) for run in sorted(tried, key=lambda run: run["loss"] or math.inf)]


def of_choice(runs: Sequence[Run], optimizer: str, choice: Choice, length: float = 1) -> list[Run]:
    """All seeds."""
    wanted = (optimizer, length, *choice)
    return [run for run in runs if (run["optimizer"], run["length"], run["lr"], run["options"]) == wanted]


def chosen(runs: Sequence[Run], optimizer: str) -> Choice:
    """Of those with the most seeds, the one with the least median loss."""

    def order(choice: Choice) -> tuple[int, float]:
        losses = [run["loss"] or math.inf for run in of_choice(runs, optimizer, choice)]
        return -len(losses), statistics.median(losses)

    return min(ranking(runs, optimizer), key=order)


def step_times(contenders: dict[str, list[str]], environment: dict[str, str]) -> dict[str, Any]:
    """Milliseconds a step, a median of each process; the processes in turn."""
    rounds: dict[str, list[float]] = {name: [] for name in contenders}
    few = [f"trainer.max_steps={TIMED_STEPS}", "trainer.limit_val_batches=1", "trainer.log_every_n_steps=20"]
    for _ in range(ROUNDS):
        for name, overrides in contenders.items():
            values = trained([*overrides, *few], environment)
            rounds[name].append(round(values["step_ms"], 2))
    return {"threads": values["threads"], "precision": values["precision"], **rounds}


def costs(out: Path) -> None:
    """What Muon adds to a step, as a share of the whole step."""
    shapes: dict[str, Any] = {}
    for name, overrides in COSTS.items():
        for kind, environment in KINDS.items():
            contenders = {each: OPTIMIZERS[each][0].format(gates=4) for each in (*COMPARED, BY_GATES)}
            times = step_times({each: [*overrides, *typed.split()] for each, typed in contenders.items()}, environment)
            shares = {
                each: spread([1 - adamw / muon for adamw, muon in zip(times["adamw"], times[each], strict=True)])
                for each in contenders
                if each != "adamw"
            }
            shapes.setdefault(name, {})[kind] = {**times, "share": shares}
            print(f"{name:22} {kind}: {shapes[name][kind]}", flush=True)
    settings = {"rounds": ROUNDS, "steps": TIMED_STEPS, "shapes": COSTS}
    save(record("optimizers", torch.device("cpu"), settings, {"shapes": shapes}), out / "costs.json")


def trained(overrides: Iterable[str], environment: dict[str, str]) -> Run:
    """What a run of `python train.py` leaves; a run that diverges has an infinite loss."""
    with tempfile.TemporaryDirectory() as folder:
        quiet = ("callbacks.samples.length=0", "logger=csv", "hydra.run.dir=run")
        done = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *overrides, *quiet],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 1 and "finite" in done.stderr:
            return {"loss": None, "steps": 0, "curve": [], "step_ms": None, "threads": 1, "precision": ""}
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(overrides)}\n{done.stderr}")
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text(encoding="utf-8"))
        head, *rows = (Path(folder) / "run" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    columns = {name: at for at, name in enumerate(head.split(","))}
    cells = [row.split(",") for row in rows]
    curve = [
        [int(row[columns["step"]]), round(float(row[columns["val/loss"]]), 4)]
        for row in cells
        if row[columns["val/loss"]]
    ]
    return {
        "loss": round(summary["val"]["loss"], 4),
        "steps": summary["train"]["steps"],
        "curve": curve,
        "step_ms": summary["train"]["step_ms"],
        "threads": summary["runtime"]["settings"]["threads"],
        "precision": summary["runtime"]["precision"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("settings", nargs="*", default=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--text", type=Path, required=True, help="tiny Shakespeare")
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), choices=list(OPTIMIZERS))
    parser.add_argument("--stage", nargs="+", default=STAGES, choices=STAGES)
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--out", type=Path, default=KEPT)
    arguments = parser.parse_args()
    made = [Setting(name, arguments.text.resolve(), arguments.out) for name in arguments.settings]
    todo = {
        "rates": (Setting.rates, arguments.optimizers),
        "others": (Setting.others, (*COMPARED, BY_GATES)),
        "seeds": (Setting.more_seeds, COMPARED),
        "lengths": (Setting.lengths, COMPARED[1:]),
    }
    for stage in arguments.stage:
        if stage == "times":
            for setting in made:
                setting.time()
            continue
        if stage == "costs":
            costs(arguments.out)
            continue
        make, names = todo[stage]
        pairs = [(one, name) for name in names for one in made]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            for _ in pool.map(make, *zip(*pairs, strict=True)):
                pass


if __name__ == "__main__":
    main()
