"""A run's writer, as training knows it: each call does nothing."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_lm.errors import RunError
from lstm_lm.runs.metrics_file import Row
from lstm_lm.runs.summary import Status, Summary

if TYPE_CHECKING:
    from torch import Tensor


class NoWriter:
    """What a run tells its writer, rank 0's (`writer.py`); this one, of ranks 1, 2, ..., writes nothing."""

    unsaved: RunError | None = None
    """Why last.ckpt is not of the last step."""

    def __init__(self, summary: Summary | None = None) -> None:
        self.summary = summary or Summary(command="", git_commit=None, versions={}, seed=None, status="running")

    def notify(self, line: str) -> None:
        """Tell a person."""

    def notify_at(self, line: str, step: int) -> None:
        """Tell a person of what has happened in optimizer step `step`, and record it for TensorBoard."""
        self.notify(line)
        self.text("nonfinite", line, step)

    def begin(self) -> None:
        """Training has begun: from here on the run directory is this run's."""

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Record scalars of optimizer step `step`."""

    @property
    def open_row(self) -> Row:
        """The newest row, which may still get values: a checkpoint holds it."""
        return {}

    def text(self, name: str, text: str, step: int) -> None:
        """Record a text, for TensorBoard."""

    def histogram(self, name: str, values: "Tensor", step: int) -> None:
        """Record how `values` are distributed, for TensorBoard."""

    def curve(self, name: str, values: Sequence[float | None]) -> None:
        """Record what was seen before training, by its own steps, for TensorBoard."""

    def outcome(self, hyperparameters: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """Fill this run's row of TensorBoard's HPARAMS tab."""

    def file(self, path: Path, text: str) -> None:
        """Have `text` be the content of `path`, a file of the run directory."""

    def save(self, checkpoint: dict[str, Any], path: Path) -> bool:  # noqa: ARG002
        """Write a checkpoint; whether it is there."""
        return True

    def end(self, status: Status, reason: str | None = None) -> None:
        """Say how the run ended, and close all files."""
