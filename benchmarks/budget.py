"""What `budget=` goes by: a grid of runs, on three texts that its rule is fitted to and on one that it has not seen.

    python benchmarks/budget.py [TEXT ...] --shakespeare FILE [--jobs 2] [--stage STAGE ...]

Each run of the grid is a process of its own, `python train.py` on one thread, which shares its cores with `--jobs` - 1
others. Everything is kept in `benchmarks/results/budget/TEXT.json` as it is found, and what is there is not run again.
Stages, all of them if none is named:

grid   one seed; sizes, passes and dropouts of GRID; each run with a schedule of its own
rates  half and twice the learning rate for a few cells
times  what a step of each size takes on all cores, and how long a run takes besides
whole  `budget=TIME`, one after the other, on OMP_NUM_THREADS threads, or on all cores: loss, and wall time of the whole
       process

`--short` tries all of it in seconds: a text of a few thousand characters, and a grid of four small runs. Then
`python benchmarks/budget_fit.py` fits the constants of the rule, and says how well it chooses.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any

import torch
from figures import record, save

from lstm_lm.training.tuning.rule import learning_rate

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results" / "budget"
STAGES = ("grid", "rates", "times", "whole")

PREFIX = 100_000
"""Characters of the short text of Shakespeare."""
OPTIMIZER = "muon"
RATE = learning_rate(OPTIMIZER) or math.nan
COMMON = (f"optimizer={OPTIMIZER}", "data.seq_len=64", "data.batch_size=32", "seed=1")
QUIET = ("callbacks.samples.length=0", "logger=csv", "hydra.run.dir=run")

Grid = dict[tuple[int, int], tuple[tuple[float, float], ...]]
"""By layers and width: passes and dropout. The embedding is as wide, 128 at most."""
GRID: dict[str, Grid] = {
    "shakespeare_100k": {
        (1, 128): ((4, 0), (10, 0), (30, 0), (100, 0), (100, 0.2)),
        (1, 256): ((2, 0), (5, 0), (15, 0), (15, 0.2), (40, 0.4)),
        (2, 256): ((2, 0), (5, 0), (15, 0), (15, 0.2), (40, 0.4)),
        (2, 512): ((4, 0), (10, 0.2), (25, 0.4)),
    },
    "python_docs": {
        (1, 128): ((3, 0), (10, 0), (30, 0), (30, 0.2)),
        (1, 256): ((2, 0), (6, 0), (15, 0), (15, 0.2)),
        (2, 256): ((2, 0), (6, 0), (15, 0.2)),
        (2, 512): ((1, 0), (4, 0.2), (8, 0.4)),
    },
    "shakespeare": {
        (1, 128): ((2, 0), (6, 0), (15, 0)),
        (1, 256): ((1, 0), (3, 0), (8, 0), (8, 0.2)),
        (2, 256): ((1, 0), (3, 0), (3, 0.2), (8, 0.2)),
        (2, 512): ((1, 0), (3, 0.2), (8, 0.2)),
    },
    "python_http": {
        (1, 128): ((4, 0), (10, 0), (30, 0.2)),
        (1, 256): ((2, 0), (4, 0), (12, 0.2)),
        (2, 256): ((4, 0), (12, 0.2), (25, 0.4)),
        (2, 512): ((3, 0), (8, 0.2)),
    },
}
SEEN = ("shakespeare_100k", "python_docs", "shakespeare")
"""Texts that the rule is fitted to."""
RATES = ((1, 128), (2, 256))
"""Sizes whose learning rate is varied, at the second of their cells."""
TIMES = ("30s", "2m")
TIMED_STEPS = 60

SHORT_CHARACTERS = 12_000
SHORT_GRID: Grid = {(1, 16): ((4, 0), (8, 0.2)), (1, 32): ((4, 0), (8, 0.2))}

Run = dict[str, Any]
Cell = tuple[tuple[int, int], float, float]
"""Size, passes, dropout."""
SAVING = Lock()


class Text:
    """A text, and what has been found of it."""

    def __init__(self, name: str, overrides: Sequence[str], grid: Grid, out: Path) -> None:
        self.name, self.overrides, self.path = name, overrides, out / f"{name}.json"
        self.cells = [(size, *cell) for size, cells in grid.items() for cell in cells]
        found = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.runs: list[Run] = found.get("runs", [])
        self.times: dict[str, Run] = found.get("times", {})
        self.whole: list[Run] = found.get("whole", [])

    def save(self) -> None:
        typed = {"text": self.name, "common": COMMON}
        kept = sorted(self.runs, key=lambda run: [run[key] for key in ("layers", "width", "passes", "dropout", "lr")])
        whole = sorted(self.whole, key=lambda run: float(run["seconds"]))
        save(
            record("budget", torch.device("cpu"), typed, {"runs": kept, "times": self.times, "whole": whole}), self.path
        )

    def train(self, cell: Cell, lr: float = RATE) -> None:
        """One run on one thread, if it has not been made."""
        (layers, width), passes, dropout = cell
        key = {"layers": layers, "width": width, "passes": passes, "dropout": dropout, "lr": lr}
        if any(key.items() <= run.items() for run in self.runs):
            return
        values, _ = trained(
            [
                *(*self.overrides, *COMMON, *_shaped(layers, width), "runtime.threads=1", f"optimizer.lr={lr:g}"),
                *(f"model.dropout={dropout:g}", f"trainer.max_epochs={passes:g}"),
                f"trainer.check_val_every_n_epoch={max(1, round(passes / 10))}",
            ]
        )
        with SAVING:
            self.runs.append({**key, **values})
            self.save()
        print(
            f"{self.name:18} {layers} x {width:<4} passes {passes:<5g} dropout {dropout} {values['loss']:.4f}",
            flush=True,
        )

    def time(self, size: tuple[int, int]) -> None:
        """A few steps on all cores, if that has not been done: of a step, and of all else that a run does."""
        label = "{} x {}".format(*size)
        if label not in self.times:
            limits = (f"trainer.max_steps={TIMED_STEPS}", "trainer.max_epochs=-1", "model.dropout=0.2")
            values, seconds = trained([*self.overrides, *COMMON, *_shaped(*size), *limits])
            besides = seconds - values["steps"] * values["step_ms"] / 1e3
            self.times[label] = {"step_ms": round(values["step_ms"], 2), "besides_s": round(besides, 1)}
            self.save()
            print(f"{self.name:18} {label}: {self.times[label]}", flush=True)

    def try_budget(self, budget: str) -> None:
        """One whole run on all cores, if it has not been made."""
        if any(run["budget"] == budget for run in self.whole):
            return
        values, seconds = trained([*self.overrides, f"optimizer={OPTIMIZER}", "seed=1", f"budget={budget}"])
        self.whole.append({"budget": budget, "seconds": round(seconds, 1), **values})
        self.save()
        print(f"{self.name:18} budget={budget}: {seconds:.0f} s, {values['loss']:.4f}, {values['typed']}", flush=True)


def trained(overrides: Iterable[str]) -> tuple[Run, float]:
    """What a run of `python train.py` leaves, and its wall time; a run that diverges has an infinite loss."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *overrides, *QUIET],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
        if done.returncode == 1 and "finite" in done.stderr:
            return {"loss": math.inf, "steps": 0, "step_ms": math.nan}, seconds
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(overrides)}\n{done.stderr}")
        summary = json.loads((Path(folder) / "run" / "summary.json").read_text(encoding="utf-8"))
    return {
        "loss": round(summary["val"]["loss"], 4),
        "parameters": summary["model"]["parameters"],
        "tokens": summary["data"]["tokens"],
        "steps": summary["train"]["steps"],
        "step_ms": summary["train"]["step_ms"],
        "threads": summary["runtime"]["settings"]["threads"],
        "status": summary["status"],
        "typed": None if summary["tuning"] is None else summary["tuning"]["typed"],
    }, seconds


def _shaped(layers: int, width: int) -> list[str]:
    return [f"model.num_layers={layers}", f"model.hidden_size={width}", f"model.embedding_size={min(width, 128)}"]


def make_texts(names: Sequence[str], shakespeare: Path, folder: Path, out: Path, *, short: bool) -> list[Text]:
    """Those that are asked for; prefixes are written into `folder`."""
    whole = shakespeare.read_text(encoding="utf-8") if short or "shakespeare_100k" in names else ""
    if short:
        prefix = folder / "short.txt"
        prefix.write_text(whole[:SHORT_CHARACTERS], encoding="utf-8")
        return [Text("short", ("data=text", f"data.path={prefix}"), SHORT_GRID, out)]
    prefix = folder / "shakespeare_100k.txt"
    prefix.write_text(whole[:PREFIX], encoding="utf-8")
    known = {
        "shakespeare_100k": ("data=text", f"data.path={prefix}"),
        "python_docs": ("data=python_docs",),
        "shakespeare": ("data=tinyshakespeare", f"data.path={shakespeare}"),
        "python_http": ("data=text", f"data.path={Path(os.__file__).parent}/http/*.py"),
    }
    return [Text(name, known[name], GRID[name], out) for name in names]


def run_grid(texts: Sequence[Text], jobs: int) -> None:
    todo = [(text, cell) for text in texts for cell in text.cells]
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(lambda one: one[0].train(one[1]), todo):
            pass


def run_rates(texts: Sequence[Text], jobs: int) -> None:
    """Half and twice the rate."""
    cells = [
        (text, next((cell for cell in text.cells[1:] if cell[0] == size and cell[2] == 0), None))
        for text, size in product(texts, RATES)
    ]
    todo = [(text, cell, lr) for text, cell in cells if cell is not None for lr in (RATE / 2, RATE * 2)]
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(lambda one: one[0].train(one[1], one[2]), todo):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", default=list(GRID), metavar="TEXT", help=", ".join(GRID))
    parser.add_argument("--shakespeare", type=Path, required=True, help="tiny Shakespeare")
    parser.add_argument("--stage", nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--times", nargs="+", default=list(TIMES), help="budgets of whole runs")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--short", action="store_true", help="try all of it in seconds")
    parser.add_argument("--out", type=Path, default=KEPT)
    arguments = parser.parse_args()
    if unknown := set(arguments.texts) - set(GRID):
        parser.error(f"no such text: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        shakespeare = arguments.shakespeare.resolve()
        texts = make_texts(arguments.texts, shakespeare, Path(folder), arguments.out, short=arguments.short)
        for stage in arguments.stage:
            if stage == "grid":
                run_grid(texts, arguments.jobs)
            elif stage == "rates":
                run_rates(texts, arguments.jobs)
            elif stage == "times":
                for text in texts:
                    for size in dict.fromkeys(cell[0] for cell in text.cells):
                        text.time(size)
            else:
                for text, budget in product(texts, arguments.times):
                    text.try_budget(budget)


if __name__ == "__main__":
    main()
