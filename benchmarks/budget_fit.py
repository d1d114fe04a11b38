"""Fits the constants of the rule of `budget=` to the grid of runs, and compares what it takes of that with the best.

    python benchmarks/budget_fit.py

Reads `benchmarks/results/budget/`, which `benchmarks/budget.py` makes. Prints the constants, to be copied into
`src/lstm_lm/training/tuning/rule.py`, how far they are off, and for each text and time the choice and the best.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from budget import GRID, KEPT, RATE, SEEN
from least_squares import least_squares
from numpy.typing import NDArray

from lstm_lm.training.tuning.rule import CONSTANTS, Constants, predicted_loss
from lstm_lm.training.tuning.schedule import AIM

TIMES = {"30 s": 30.0, "2 min": 120.0, "10 min": 600.0}
"""Seconds, of the whole process."""
FIRST_GUESS = Constants(
    capacity=5.0,
    capacity_power=0.2,
    data=1000.0,
    data_power=0.55,
    repeats=5.0,
    slowing=2.5,
    overfit=0.001,
    overfit_power=1.0,
    overfit_thinning=6.0,
)
"""By eye."""
BOUNDS = {"overfit_power": (1.0, 3.0)}
"""Of constants that must be within some."""
PRIOR = 0.01
"""Nats that a constant counts which is e times the first guess: what the grid does not tell stays that."""
TRIES = 8
FURTHEST = 2.5
"""Powers of e that a constant may be larger or smaller by."""

Run = dict[str, Any]


class Fitted(NamedTuple):
    """Constants, and how far they are from the losses: root of the mean square, nats per token."""

    constants: Constants
    error: float


class Choice(NamedTuple):
    """Of a text's runs that a time has room for."""

    text: str
    time: str
    taken: Run
    """By the rule."""
    best: Run
    among: int

    @property
    def missed(self) -> float:
        """Nats per token."""
        return float(self.taken["loss"] - self.best["loss"])


def kept(name: str, folder: Path = KEPT) -> dict[str, Any]:
    """What was found of a text."""
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return found


def grid(figures: dict[str, Any]) -> list[Run]:
    """The runs at the rule's own learning rate."""
    return [run for run in figures["runs"] if run["lr"] == RATE]


def predicted(run: Run, constants: Constants = CONSTANTS) -> float:
    return predicted_loss(run["parameters"], run["tokens"], run["passes"], run["dropout"], constants)


def fit(grids: Sequence[Sequence[Run]]) -> Fitted:
    """By least squares, from several starts; what a text has of entropy by itself is that which fits best."""
    names = [field.name for field in fields(Constants)]
    start = np.log([getattr(FIRST_GUESS, name) for name in names])
    low, high = start - FURTHEST, start + FURTHEST
    for place, name in enumerate(names):
        if name in BOUNDS:
            low[place], high[place] = np.log(BOUNDS[name])

    def constants(point: NDArray[np.float64]) -> Constants:
        return Constants(**dict(zip(names, np.exp(np.clip(point, low, high)).tolist(), strict=True)))

    def misses(point: NDArray[np.float64]) -> NDArray[np.float64]:
        tried = constants(point)
        of_texts = []
        for runs in grids:
            difference = np.array([run["loss"] - predicted(run, tried) for run in runs])
            of_texts.append(difference - difference.mean())
        return np.concatenate([*of_texts, PRIOR * (point - start)])

    chance = np.random.default_rng(0)
    starts = [start, *(start + chance.normal(0, 0.3, len(start)) for _ in range(TRIES))]
    found = min((least_squares(misses, each) for each in starts), key=lambda point: float((misses(point) ** 2).sum()))
    errors = misses(found)[: -len(names)]
    return Fitted(constants(found), float(np.sqrt((errors**2).mean())))


def choices(name: str, figures: dict[str, Any], constants: Constants = CONSTANTS) -> list[Choice]:
    """For each of TIMES, of the runs that end within it on all cores, as a run with `budget=` is planned to.

    A time that has room for no more runs than the one before says nothing new, and is left out.
    """
    found: list[Choice] = []
    for time, seconds in TIMES.items():
        able = [run for run in grid(figures) if whole_seconds(run, figures["times"]) <= AIM * seconds]
        if able and (not found or len(able) > found[-1].among):
            taken = min(able, key=lambda run: predicted(run, constants))
            found.append(Choice(name, time, taken, min(able, key=lambda run: run["loss"]), len(able)))
    return found


def whole_seconds(run: Run, times: dict[str, Any]) -> float:
    """Wall time of the run's process on all cores."""
    size = times["{} x {}".format(run["layers"], run["width"])]
    return float(run["steps"] * size["step_ms"] / 1e3 + size["besides_s"])


def shown(run: Run) -> str:
    """`1 x 256 15 times, dropout 0.2: 1.4321`."""
    return "{layers} x {width} {passes:g} times, dropout {dropout:g}: {loss:.4f}".format(**run)


def main() -> None:
    figures = {name: kept(name) for name in GRID if (KEPT / f"{name}.json").exists()}
    constants, error = fit([grid(figures[name]) for name in SEEN if name in figures])
    print(f"off by {error:.4f} nats (root of the mean square)")
    for name, value in asdict(constants).items():
        print(f"    {name}: float = {value:.4g}")
    for name in figures:
        for choice in choices(name, figures[name], constants):
            print(
                f"{name:18} {choice.time:>6}, {choice.among:2} runs: {shown(choice.taken)}, "
                f"best {shown(choice.best)}: {choice.missed:+.4f}"
            )


if __name__ == "__main__":
    main()
