"""One logger for a run: `metrics.csv` for scripts, TensorBoard for people, with the same names."""

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.metrics_file import MetricsFile


class RunLogger(Logger):
    """Writes scalars to both, texts and histograms to TensorBoard."""

    def __init__(self, run: RunDirectory, *, tensorboard: bool, resumed_step: int | None = None) -> None:
        """Open the files of `run`; with `resumed_step`, forget what an interrupted run had logged beyond it.

        Raises:
            UserError: metrics.csv is there, but cannot be read.
            RunError: a file cannot be written.
        """
        super().__init__()
        self._run = run
        self.metrics_file = MetricsFile(run.metrics)
        if resumed_step is not None:
            self.metrics_file.truncate_after(resumed_step)
        purge = None if resumed_step is None else resumed_step + 1
        self.writer = SummaryWriter(str(run.tensorboard), purge_step=purge) if tensorboard else None

    @property
    def name(self) -> str:
        """The run directory's name."""
        return self._run.path.name

    @property
    def version(self) -> str:
        """There is one version: the directory is never shared."""
        return ""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record scalars of optimizer step `step`."""
        if step is None:
            raise ValueError("a metric without a step has no row in metrics.csv")
        self.metrics_file.log(step, metrics)
        if self.writer is not None:
            for name, value in metrics.items():
                self.writer.add_scalar(name, value, step)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Lightning's hook, unused: hyperparameters are written once, with the final metrics (`log_outcome`)."""

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Record a text; TensorBoard reads Markdown, so it becomes a code block."""
        if self.writer is not None:
            fence = "\n".join(f"    {line}" for line in text.splitlines())
            self.writer.add_text(name, fence, step)

    @rank_zero_only
    def log_histogram(self, name: str, values: Tensor, step: int) -> None:
        """Record how `values` are distributed."""
        if self.writer is not None and values.numel() and bool(values.isfinite().all()):
            self.writer.add_histogram(name, values.float(), step)

    @rank_zero_only
    def log_curve(self, name: str, values: Sequence[float | None]) -> None:
        """Record what was seen before training, by its own steps; TensorBoard only, as metrics.csv is of training."""
        if self.writer is not None:
            for step, value in enumerate(values):
                if value is not None:
                    self.writer.add_scalar(name, value, step)

    @rank_zero_only
    def log_outcome(self, hyperparameters: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """Fill this run's row of TensorBoard's HPARAMS tab, with several metrics."""
        if self.writer is None:
            return
        finite = {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}
        finals = {f"final/{name}": value for name, value in finite.items()}
        experiment, start, end = hparams(flat(hyperparameters), finals)  # type: ignore[no-untyped-call]
        for event in (experiment, start, end):
            self.writer._get_file_writer().add_summary(event)  # type: ignore[no-untyped-call]
        for name, value in finite.items():
            self.writer.add_scalar(f"final/{name}", value, 0)

    def save(self) -> None:
        """Bring everything to the disk."""
        self.metrics_file.flush()
        if self.writer is not None:
            self.writer.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002
        """Bring everything to the disk; more may still be logged."""
        self.save()

    def close(self) -> None:
        """Write what is left, and close."""
        self.metrics_file.flush()
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """`{"model": {"hidden_size": 64}}` -> `{"model.hidden_size": 64}`; what is no plain value becomes text."""
    found: dict[str, bool | int | float | str] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, (bool, int, float, str)) else str(value)
    return found
