"""What `budget=` goes by: a grid of runs, the constants of its rule fitted to them, and how well it then chooses.

    python benchmarks/budget.py [TEXT ...] --shakespeare FILE [--jobs 2] [--stage grid rates fit check whole]

Each run of the grid is a process of its own, `python train.py` on one thread, which shares its cores with `--jobs` - 1
others. Everything is kept in `benchmarks/results/budget/TEXT.json` as it is found, and what is there is not run again.
Stages, all of them if none is named:

grid   one seed; sizes, passes and dropouts of GRID; each run with a schedule of its own
rates  half and twice the learning rate for a few cells
fit    the constants of src/lstm_lm/training/tuning/rule.py, by least squares over the grids of all texts; printed
check  for each time of TIMES, of those runs of the grid that fit into it by their own step time: the one that the rule
       takes against the best one; printed
whole  `budget=TIME`, one after the other, on all cores: loss, and wall time of the whole process

`--short` tries all of it in seconds: a text of a few thousand characters, and a grid of four small runs.
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
from dataclasses import asdict, fields, replace
from itertools import product
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import torch
from figures import record, save
from least_squares import least_squares
from numpy.typing import NDArray

from lstm_lm.training.tuning.rule import CONSTANTS, Constants, learning_rate, predicted_loss

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results" / "budget"
STAGES = ("grid", "rates", "fit", "check", "whole")

PREFIX = 100_000
"""Characters of the short text of Shakespeare."""
OPTIMIZER = "muon"
RATE = learning_rate(OPTIMIZER) or math.nan
COMMON = (f"optimizer={OPTIMIZER}", "data.seq_len=64", "data.batch_size=32", "seed=1")
QUIET = ("callbacks.samples.length=0", "logger=csv", "hydra.run.dir=run")

SIZES = ((1, 64), (1, 128), (2, 128), (1, 256), (2, 256), (3, 256), (1, 512), (2, 512))
"""Layers and width; the embedding is as wide, 128 at most."""
DROPOUTS = (0.0, 0.2, 0.4)
PASSES = {"shakespeare_100k": (3, 10, 30, 100), "python_docs": (2, 6, 20, 60), "shakespeare": (0.7, 2, 6, 20)}
"""By text."""
MOST_WORK = 2e13
"""Parameters times tokens of a run of the grid: ten minutes or so. Larger cells are left out."""
RATES = ((1, 128), (2, 256))
"""Sizes whose learning rate is varied, at the middle passes without dropout."""
TIMES = ("1m", "3m", "10m", "30m")
MINUTE = 60.0

SHORT_CHARACTERS = 12_000
SHORT_CELLS = [((1, 16), 4.0, 0.0), ((1, 16), 8.0, 0.2), ((1, 32), 4.0, 0.0), ((1, 32), 8.0, 0.2)]

Run = dict[str, Any]
Cell = tuple[tuple[int, int], float, float]
"""Size, passes, dropout."""
SAVING = Lock()


class Text:
    """A text, and what has been found of it."""

    def __init__(self, name: str, overrides: Sequence[str], cells: Sequence[Cell], out: Path) -> None:
        self.name, self.overrides, self.cells, self.path = name, overrides, cells, out / f"{name}.json"
        found = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        self.runs: list[Run] = found.get("runs", [])
        self.whole: list[Run] = found.get("whole", [])

    def save(self) -> None:
        typed = {"text": self.name, "common": COMMON}
        kept = sorted(self.runs, key=lambda run: [run[key] for key in ("layers", "width", "passes", "dropout", "lr")])
        save(record("budget", torch.device("cpu"), typed, {"runs": kept, "whole": self.whole}), self.path)

    def grid(self, lr: float = RATE) -> list[Run]:
        return [run for run in self.runs if run["lr"] == lr and run["loss"] < math.inf]

    def train(self, cell: Cell, lr: float = RATE) -> None:
        """One run on one thread, if it has not been made."""
        (layers, width), passes, dropout = cell
        key = {"layers": layers, "width": width, "passes": passes, "dropout": dropout, "lr": lr}
        if any(key.items() <= run.items() for run in self.runs):
            return
        values, _ = trained(
            [
                *(*self.overrides, *COMMON, f"optimizer.lr={lr:g}", "runtime.threads=1"),
                *(f"model.num_layers={layers}", f"model.hidden_size={width}", f"model.dropout={dropout}"),
                *(f"model.embedding_size={min(width, 128)}", f"trainer.max_epochs={math.ceil(passes)}"),
                *([] if passes == int(passes) else [f"trainer.limit_train_batches={passes / math.ceil(passes):g}"]),
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
        "status": summary["status"],
        "typed": None if summary["tuning"] is None else summary["tuning"]["typed"],
    }, seconds


# The fit

BOUNDS = {"overfit_power": (1.0, 3.0)}
"""Of constants that must be within some."""
PRIOR = 0.01
"""Nats that a constant counts which is e times what it was: what the grid does not tell stays."""
TRIES = 20
FURTHEST = 2.5
"""Powers of e that a constant may be larger or smaller by."""


class Fitted(NamedTuple):
    """Constants, and how far they are from the losses: root of the mean square, nats per token."""

    constants: Constants
    error: float


def fit(texts: Sequence[Text]) -> Fitted:
    """By least squares, from several starts; what a text has of entropy by itself is that which fits best."""
    names = [field.name for field in fields(Constants)]
    start = np.log([getattr(CONSTANTS, name) for name in names])
    grids = [text.grid() for text in texts if text.grid()]

    def constants(point: NDArray[np.float64]) -> Constants:
        near = np.clip(point, start - FURTHEST, start + FURTHEST)
        values = dict(zip(names, np.exp(near).tolist(), strict=True))
        return replace(CONSTANTS, **{name: _within(value, BOUNDS.get(name)) for name, value in values.items()})

    def misses(point: NDArray[np.float64]) -> NDArray[np.float64]:
        tried = constants(point)
        of_texts = []
        for runs in grids:
            difference = np.array([run["loss"] - predicted(run, tried) for run in runs])
            of_texts.append(difference - difference.mean())
        return np.concatenate([*of_texts, PRIOR * (point - start)])

    chance = np.random.default_rng(0)
    starts = [start, *(start + chance.normal(0, 0.3, len(start)) for _ in range(TRIES))]
    best = min((least_squares(misses, each) for each in starts), key=lambda point: float((misses(point) ** 2).sum()))
    errors = misses(best)[: -len(names)]
    return Fitted(constants(best), float(np.sqrt((errors**2).mean())))


def predicted(run: Run, constants: Constants = CONSTANTS) -> float:
    return predicted_loss(run["parameters"], run["tokens"], run["passes"], run["dropout"], constants)


def _within(value: float, bounds: tuple[float, float] | None) -> float:
    return value if bounds is None else min(max(value, bounds[0]), bounds[1])


def check(text: Text, constants: Constants) -> None:
    """What the rule takes of the grid's runs that fit into a time, against the best of them."""
    for budget in TIMES:
        seconds = float(budget[:-1]) * MINUTE
        able = [run for run in text.grid() if run["steps"] * run["step_ms"] / 1e3 <= seconds]
        if not able:
            continue
        taken, best = min(able, key=lambda run: predicted(run, constants)), min(able, key=lambda run: run["loss"])
        print(f"{text.name:18} {budget:>4}: {_shown(taken)}, best {_shown(best)}: {taken['loss'] - best['loss']:+.4f}")


def _shown(run: Run) -> str:
    return f"{run['layers']} x {run['width']} {run['passes']:g} times, dropout {run['dropout']}: {run['loss']:.4f}"


def _cells(name: str, characters: float) -> list[Cell]:
    """GRID of a text, the quick ones first."""
    cells = product(SIZES, PASSES[name], DROPOUTS)
    work = {cell: _parameters(cell[0]) * characters * cell[1] for cell in cells}
    return sorted((cell for cell in work if work[cell] <= MOST_WORK), key=work.__getitem__)


def _parameters(size: tuple[int, int]) -> int:
    """About."""
    layers, width = size
    return 8 * layers * width * width


def make_texts(names: Sequence[str], shakespeare: Path, folder: Path, out: Path, *, short: bool) -> list[Text]:
    """Those that are asked for; prefixes are written into `folder`."""
    whole = shakespeare.read_text(encoding="utf-8") if short or "shakespeare_100k" in names else ""
    if short:
        prefix = folder / "short.txt"
        prefix.write_text(whole[:SHORT_CHARACTERS], encoding="utf-8")
        return [Text("short", ("data=text", f"data.path={prefix}"), SHORT_CELLS, out)]
    prefix = folder / "shakespeare_100k.txt"
    prefix.write_text(whole[:PREFIX], encoding="utf-8")
    known = {
        "shakespeare_100k": (("data=text", f"data.path={prefix}"), PREFIX),
        "python_docs": (("data=python_docs",), 450_000),
        "shakespeare": (("data=tinyshakespeare", f"data.path={shakespeare}"), 1_100_000),
    }
    return [Text(name, known[name][0], _cells(name, known[name][1]), out) for name in names]


def run_grid(texts: Sequence[Text], jobs: int) -> None:
    todo = [(text, cell) for text in texts for cell in text.cells]
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(lambda one: one[0].train(one[1]), todo):
            pass


def run_rates(texts: Sequence[Text], jobs: int) -> None:
    """Half and twice the rate; sizes of RATES, the middle number of passes."""
    todo = []
    for text in texts:
        passes = sorted({cell[1] for cell in text.cells})
        sizes = [size for size in dict.fromkeys(cell[0] for cell in text.cells) if size in RATES]
        todo += [(text, (size, passes[len(passes) // 2], 0.0), lr) for size in sizes for lr in (RATE / 2, RATE * 2)]
    with ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(lambda one: one[0].train(one[1], one[2]), todo):
            pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", nargs="*", default=list(PASSES), metavar="TEXT", help=", ".join(PASSES))
    parser.add_argument("--shakespeare", type=Path, required=True, help="tiny Shakespeare")
    parser.add_argument("--stage", nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--times", nargs="+", default=list(TIMES), help="budgets of whole runs")
    parser.add_argument("--jobs", type=int, default=2, help="runs side by side")
    parser.add_argument("--short", action="store_true", help="try all of it in seconds")
    parser.add_argument("--out", type=Path, default=KEPT)
    arguments = parser.parse_args()
    if unknown := set(arguments.texts) - set(PASSES):
        parser.error(f"no such text: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        shakespeare = arguments.shakespeare.resolve()
        texts = make_texts(arguments.texts, shakespeare, Path(folder), arguments.out, short=arguments.short)
        constants = CONSTANTS
        for stage in arguments.stage:
            if stage == "grid":
                run_grid(texts, arguments.jobs)
            elif stage == "rates":
                run_rates(texts, arguments.jobs)
            elif stage == "fit":
                constants, error = fit(texts)
                print(f"off by {error:.4f} nats (root of the mean square)")
                for name, value in asdict(constants).items():
                    print(f"    {name}: float = {value:.4g}")
            elif stage == "check":
                for text in texts:
                    check(text, constants)
            else:
                for text, budget in product(texts, arguments.times):
                    text.try_budget(budget)


if __name__ == "__main__":
    main()
