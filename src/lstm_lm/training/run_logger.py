"""One logger for a run: `metrics.csv` for scripts, TensorBoard for people, with the same names."""

import math
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from lstm_lm.display import spelled_out
from lstm_lm.errors import RunError
from lstm_lm.runs import atomic, metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.metrics_file import MetricsFile
from lstm_lm.training.event_files import EventFiles, Record


class RunLogger(Logger):
    """Writes scalars to both, texts and histograms to TensorBoard.

    While the disk is full, rows of metrics.csv wait, TensorBoard misses some, and training goes on.
    """

    def __init__(
        self,
        run: RunDirectory,
        *,
        tensorboard: bool,
        resumed_step: int | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        """Read what is there of `run`, up to `resumed_step` if it is continued from there.

        `warn` hears once of each file that cannot be written for a while.

        Raises:
            UserError: metrics.csv is there, but cannot be read; TensorBoard cannot write into such a folder.
            RunError: a file cannot be written.
        """
        super().__init__()
        self._run = run
        self._warn = warn
        self._told: set[Path] = set()
        self._events = EventFiles(run.tensorboard, self._tell_of_events) if tensorboard else None
        self._resumed_step = resumed_step
        self._begun = False
        self.metrics_file = MetricsFile(run.metrics)
        rows = metrics_file.read(run.metrics) if run.metrics.exists() else []
        self.resumed_row = next((row for row in rows if row[metrics_file.STEP] == resumed_step), {})
        """What is logged already of the step that is continued from."""

    def begin(self) -> None:
        """Forget what an interrupted run had logged beyond the step that is continued; write event files from here on.

        Raises:
            RunError: metrics.csv cannot be written.
        """
        if self._resumed_step is not None:
            self.metrics_file.truncate_after(self._resumed_step)
        if self._events is not None:
            self._events.begin(self._resumed_step)
        self._begun = True
        self.save()

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
        with self._patiently():
            self.metrics_file.log(step, metrics)
        known = (
            self.resumed_row if step == self._resumed_step else ()
        )  # a validation made up for may be recorded already
        new = {name: value for name, value in metrics.items() if name not in known}
        self._record(lambda writer: _scalars(writer, [(name, value, step) for name, value in new.items()]))

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Lightning's hook, unused: hyperparameters are written once, with the final metrics (`log_outcome`)."""

    @rank_zero_only
    def log_text(self, name: str, text: str, step: int) -> None:
        """Record a text; TensorBoard reads Markdown, so it becomes a code block."""
        fence = "\n".join(f"    {line}" for line in spelled_out(text).splitlines())
        self._record(lambda writer: writer.add_text(name, fence, step))

    @rank_zero_only
    def log_histogram(self, name: str, values: Tensor, step: int) -> None:
        """Record how `values` are distributed."""
        if self._events is not None and values.numel() and bool(values.isfinite().all()):
            copy = values.float().clone()  # it may have to wait
            self._record(lambda writer: writer.add_histogram(name, copy, step))

    @rank_zero_only
    def log_curve(self, name: str, values: Sequence[float | None]) -> None:
        """Record what was seen before training, by its own steps; TensorBoard only, as metrics.csv is of training."""
        known = [(step, value) for step, value in enumerate(values) if value is not None]
        self._record(lambda writer: _scalars(writer, [(name, value, step) for step, value in known]))

    @rank_zero_only
    def log_outcome(self, hyperparameters: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """Fill this run's row of TensorBoard's HPARAMS tab, with several metrics."""
        finite = {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}
        finals = {f"final/{name}": value for name, value in finite.items()}
        events = hparams(flat(hyperparameters), finals)  # type: ignore[no-untyped-call]

        def write(writer: SummaryWriter) -> None:
            for event in events:
                writer._get_file_writer().add_summary(event)  # type: ignore[no-untyped-call]
            for name, value in finite.items():
                writer.add_scalar(f"final/{name}", value, 0)

        self._record(write)

    def save(self) -> None:
        """Bring everything to the disk; the events first, so that they have what metrics.csv knows of."""
        if not self._begun:
            return
        if self._events is not None:
            self._events.flush()
        with self._patiently():
            self.metrics_file.flush()

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002
        """Bring everything to the disk; more may still be logged."""
        self.save()

    def close(self) -> None:
        """Write what is left, and close.

        Raises:
            RunError: rows of metrics.csv are left, and cannot be written.
        """
        if self._events is not None:
            self._events.close()
        self._events = None
        if self._begun:
            self.metrics_file.flush()

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        """For what can be done later: the rows wait in memory."""
        try:
            yield
        except RunError as error:
            self._tell_once(self._run.metrics, error)

    def _record(self, record: Record) -> None:
        if self._events is not None:
            self._events.write(record)

    def _tell_of_events(self, error: OSError) -> None:
        self._tell_once(self._run.tensorboard, atomic.write_error(self._run.tensorboard, error))

    def _tell_once(self, path: Path, error: RunError) -> None:
        if path not in self._told:
            self._told.add(path)
            if self._warn is not None:
                self._warn(f"{str(error).splitlines()[0]}; training goes on")


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, bool | int | float | str]:
    """`{"model": {"hidden_size": 64}}` -> `{"model.hidden_size": 64}`; what is no plain value becomes text."""
    found: dict[str, bool | int | float | str] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value if isinstance(value, (bool, int, float)) else spelled_out(str(value))
    return found


def _scalars(writer: SummaryWriter, scalars: Iterable[tuple[str, float, int]]) -> None:
    for name, value, step in scalars:
        writer.add_scalar(name, value, step)
