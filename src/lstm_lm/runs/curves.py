"""A run's curves from its metrics.csv: a metric in training and validation, over steps, tokens or seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lstm_lm.errors import UserError
from lstm_lm.runs import metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.listing import training_tokens
from lstm_lm.runs.metrics_file import STEP, Row

Over = Literal["steps", "tokens", "seconds"]
"""Optimizer steps; tokens trained on; wall time of training in seconds, as `train.seconds` of a summary."""

SPLITS = ("train", "val")
_OF_ONE_STEP = ("loss", "perplexity", "gradient_norm")
"""What is logged in training of one optimizer step alone."""


@dataclass(frozen=True)
class Curve:
    """Points in order of `x`."""

    x: list[float]
    y: list[float]


def read_curves(run: RunDirectory, metric: str, over: Over) -> dict[str, Curve]:
    """Of each split that has it, the curve of `metric`: `loss` of `train/loss` and `val/loss`.

    Raises:
        UserError: metrics.csv cannot be read, neither split has the metric, or what `over` needs is not known.
    """
    rows = metrics_file.read(run.metrics) if run.metrics.exists() else []
    columns = {f"{split}/{metric}": split for split in SPLITS}
    found = {
        split: ([row for row in rows if column in row], column)
        for column, split in columns.items()
        if any(column in row for row in rows)
    }
    if not found:
        known = {name.partition("/")[2] for row in rows for name in row if name.partition("/")[0] in SPLITS}
        raise UserError(
            f"{run.metrics}: nothing called {' or '.join(columns)} there\n"
            + (f"known: {', '.join(sorted(known))}" if known else "the run has logged nothing yet")
        )
    if metric in _OF_ONE_STEP and "train" in found:
        own, column = found["train"]
        found["train"] = (_of_whole_windows(own), column)
    return {
        split: Curve(_places(own, rows, over, run), [float(row[column]) for row in own])
        for split, (own, column) in found.items()
    }


def _of_whole_windows(rows: list[Row]) -> list[Row]:
    """Without the last step of each epoch, whose window may be of a few tokens: there a curve jumps, and means nothing.

    Where nothing else was logged, all stay.
    """
    return [row for row in rows if not float(row.get("epoch", 0.5)).is_integer()] or rows


def _places(own: Sequence[Row], rows: Sequence[Row], over: Over, run: RunDirectory) -> list[float]:
    steps = [float(row[STEP]) for row in own]
    if over == "steps":
        return steps
    if over == "tokens":
        tokens = _tokens_per_step(rows, run)
        return [step * tokens for step in steps]
    return _seconds(steps, rows, run)


def _tokens_per_step(rows: Sequence[Row], run: RunDirectory) -> float:
    """An epoch reads the training text once, and the column `epoch` grows evenly with the steps."""
    tokens = training_tokens(run)
    ends = [row for row in rows if row.get("epoch") and row[STEP]]
    if tokens is None or not ends:
        raise UserError(f"{run.path}: how many tokens a step takes is not known there\nuse over=steps or over=seconds")
    return tokens * ends[-1]["epoch"] / ends[-1][STEP]


def _seconds(steps: Sequence[float], rows: Sequence[Row], run: RunDirectory) -> list[float]:
    """When each of `steps` ended, by `train/seconds`, and evenly between two rows."""
    known = [(row[STEP], row["train/seconds"]) for row in rows if "train/seconds" in row]
    if not known:
        raise UserError(f"{run.path}: how long a step takes was not measured there\nuse over=steps or over=tokens")
    places, times = zip((0.0, 0.0), *known, strict=True)
    return [float(place) for place in np.interp(steps, places, times)]
