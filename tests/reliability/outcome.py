"""What a run has left behind, without what tells of the machine: to be equal, to the bit, to that of another run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lstm_lm.runs import metrics_file

OF_THE_MACHINE = ("seconds", "step_ms", "tokens_per_second", "usage/")
"""Parts of the names of what is not compared."""


def _compared(name: str) -> bool:
    return not any(part in name for part in OF_THE_MACHINE)


@dataclass
class Outcome:
    rows: list[dict[str, float]]
    points: dict[str, list[tuple[int, float]]]
    """TensorBoard's, in the order in which it shows them."""
    weights: dict[str, dict[str, torch.Tensor]]
    """By checkpoint."""
    steps: dict[str, int]
    summary: dict[str, Any]

    @classmethod
    def of(cls, run: Path) -> "Outcome":
        """Read with what anybody would use."""
        rows = metrics_file.read(run / "metrics.csv")
        board = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
        board.Reload()
        checkpoints = {
            path.stem: torch.load(path, weights_only=True) for path in sorted((run / "checkpoints").glob("*.ckpt"))
        }
        told = json.loads((run / "summary.json").read_text())
        train = {name: value for name, value in told["train"].items() if _compared(name)}
        return cls(
            [{name: value for name, value in row.items() if _compared(name)} for row in rows],
            {
                name: [(event.step, event.value) for event in board.Scalars(name)]
                for name in board.Tags()["scalars"]
                if _compared(name)
            },
            {name: content["state_dict"] for name, content in checkpoints.items()},
            {name: content["global_step"] for name, content in checkpoints.items()},
            {name: told[name] for name in ("status", "model", "data", "val", "test")} | {"train": train},
        )

    def differences(self, other: "Outcome") -> list[str]:
        """In words; none: they are the same."""
        found = [] if self.rows == other.rows else [f"rows: {self.rows}\nothers: {other.rows}"]
        for name in sorted(self.points.keys() | other.points.keys()):
            if self.points.get(name) != other.points.get(name):
                found.append(f"points of {name}: {self.points.get(name)}\nothers: {other.points.get(name)}")
        if self.steps != other.steps:
            found.append(f"checkpoints: {self.steps}\nothers: {other.steps}")
        for name in self.weights.keys() & other.weights.keys():
            pair = self.weights[name], other.weights[name]
            if pair[0].keys() != pair[1].keys():
                found.append(f"{name}.ckpt: other weights")
            elif distance := max(float((pair[0][key].double() - pair[1][key].double()).abs().max()) for key in pair[0]):
                found.append(f"{name}.ckpt: weights differ by {distance}")
        if self.summary != other.summary:
            found.append(f"summary: {self.summary}\nothers: {other.summary}")
        return found
