"""A run that is killed again and again and resumed each time, beside one that nobody disturbs."""

import os
import random
import signal
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from forked import at_step, die, start, watch_files
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.nn.modules.module import register_module_forward_hook

import lstm_lm
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.runs.directory import RunDirectory

PLACES = {
    "step": "between forward and backward",
    "write": "in a checkpoint write",
    "validation": "in a validation",
    "start": "at start-up",
}
NOT_COMPARED = ("seconds", "step_ms", "tokens_per_second", "usage/")
"""Columns that tell of the machine, not of the training."""

EVERY_DROPOUT = (
    "model.num_layers=2",
    "model.dropout=0.1",
    "model.embedding_dropout=0.1",
    "model.weight_drop=0.2",
    "model.locked_dropout=true",
    "model.recurrent_dropout=0.1",
    "model.zoneout_hidden=0.1",
    "model.zoneout_cell=0.1",
    "averaging=ema",
)
ON_A_KERNEL = ("model.num_layers=2", "model.dropout=0.1", "model.weight_drop=0.2", "forward=fused")
"""Those dropouts that a vendor's kernel leaves room for."""
TRANSFORMER = (
    "model=transformer",
    "model.num_layers=1",
    "model.num_heads=2",
    "model.dropout=0.1",
    "model.context_size=16",
)


@dataclass
class Kill:
    """One of them: where, and at which optimizer step."""

    moment: str
    """Of PLACES: the first that comes once that step is done; "start": before this process takes one."""
    step: int


@dataclass
class Report:
    """What came of it."""

    kills: list[Kill]
    resumed_from: list[int] = field(default_factory=list)
    """The step at which each process but the first began to train."""
    places: list[str] = field(default_factory=list)
    """Where each was killed."""
    partial_files: int = 0
    """Half-written files that were found after a kill."""
    rows: int = 0
    differing_rows: int = 0
    points: int = 0
    """Of TensorBoard's scalars."""
    differing_points: int = 0
    largest_weight_difference: float = 0.0


def plan(count: int, steps: int, validated_every: int, seed: int) -> list[Kill]:
    """`count` kills in ascending steps of a run of `steps`: some in a write, in a validation, and at start-up.

    One that is due in the last validation would leave nothing to be killed: there are none that late.
    """
    chance = random.Random(seed)
    at = sorted(chance.sample(range(5, steps - validated_every - 5), count))
    moments = ["write", "validation", "start", *chance.choices(["step", "step", "write", "validation"], k=count - 3)]
    chance.shuffle(moments)
    if moments[0] == "start":  # there must be something to resume
        moments[0], moments[1] = moments[1], moments[0]
    return [Kill(moment, step) for moment, step in zip(moments, at, strict=True)]


def compare(config: dict[str, Any], folder: Path, kills: list[Kill]) -> Report:
    """Train `config` undisturbed and killed; `config` must say resume=auto."""
    report = Report(kills)
    whole, doomed = RunDirectory(folder / "whole"), RunDirectory(folder / "doomed")
    output = folder / "output.log"
    lstm_lm.train(config, whole.path)
    for kill in [*kills, None]:
        resumed = checkpoint_file.load(doomed.last)["global_step"] if doomed.last.exists() else 0
        if resumed:
            report.resumed_from.append(resumed)
        child = start(partial(_train, config, doomed, kill, resumed), output)
        assert child.wait() == (0 if kill is None else -signal.SIGKILL), child.said[-2000:]
        report.places += [] if kill is None else [PLACES[kill.moment]]
        report.partial_files += len([*doomed.path.rglob(".*.tmp")])
    rows = [metrics_file.read(run.metrics) for run in (whole, doomed)]
    report.rows = len(rows[0])
    report.differing_rows = abs(len(rows[0]) - len(rows[1])) + sum(
        _training(one) != _training(two) for one, two in zip(*rows, strict=False)
    )
    points = [_points(run) for run in (whole, doomed)]
    report.points = sum(map(len, points[0].values()))
    report.differing_points = sum(
        len(set(points[0].get(name, [])) ^ set(points[1].get(name, [])))
        + abs(len(points[0].get(name, [])) - len(points[1].get(name, [])))
        for name in points[0].keys() | points[1].keys()
    )
    ends = [checkpoint_file.load(run.last) for run in (whole, doomed)]
    assert ends[0]["state_dict"].keys() == ends[1]["state_dict"].keys()
    report.largest_weight_difference = max(
        float((weight.double() - ends[1]["state_dict"][name].double()).abs().max())
        for name, weight in ends[0]["state_dict"].items()
    )
    return report


def _train(config: dict[str, Any], run: RunDirectory, kill: Kill | None, resumed: int) -> None:
    """Continue from step `resumed`, until the moment comes."""
    reached = kill is not None and kill.step <= resumed
    whole_backward = torch.Tensor.backward

    def reach() -> None:
        nonlocal reached
        reached = True

    def backward(*arguments: Any, **named: Any) -> None:
        if reached:
            die()
        whole_backward(*arguments, **named)

    def write(kind: str, file: str) -> None:
        if reached and kind == "fsync" and "ckpt" in file:
            os.truncate(run.path / file, os.path.getsize(run.path / file) // 2)  # what a slower disk would have by now
            die()

    def forward(module: torch.nn.Module, *_: Any) -> None:
        if kill is not None and (kill.moment == "start" or (reached and not module.training)):
            die()

    if kill is not None:
        at_step(max(1, kill.step - resumed), reach)
        if kill.moment == "step":
            torch.Tensor.backward = backward  # type: ignore[method-assign]
        elif kill.moment == "write":
            watch_files(run.path, write)
        else:
            register_module_forward_hook(forward)
    lstm_lm.train(config, run.path)


def _points(run: RunDirectory) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: steps and values by name."""
    board = EventAccumulator(str(run.tensorboard), size_guidance={"scalars": 0})
    board.Reload()
    names = [name for name in board.Tags()["scalars"] if not any(part in name for part in NOT_COMPARED)]
    return {name: [(event.step, event.value) for event in board.Scalars(name)] for name in names}


def _training(row: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in row.items() if not any(part in name for part in NOT_COMPARED)}
