"""The only writer of a run directory while a run trains, and what must hold between its files.

- Nothing changes before training begins, with its first window or a validation that was due: a run that is refused, or
  killed while it starts, leaves all as it was.
- Rows and events are on the disk before the checkpoint that covers them; the newest row, which is not, is in it.
- `last.ckpt` is written at most once a step, so that those before it are of other steps.
- A disk that is full ends nothing: rows wait, events and a checkpoint are left out, and a person is notified.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstm_lm.display import spelled_out
from lstm_lm.errors import RunError
from lstm_lm.flat_keys import flat_keys
from lstm_lm.runs import atomic, checkpoint_file, rotation
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.event_files import EventFiles, Events, Record
from lstm_lm.runs.metrics_file import STEP, MetricsFile, Row
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.runs.summary import Status, Summary

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Resumed:
    """Where a run continues."""

    step: int
    """Optimizer steps behind it; 0 where an earlier run has left files and no checkpoint."""
    checkpoint: Path | None = None
    row: Row = field(default_factory=dict)
    """The open row that the checkpoint holds."""
    newer_are_damaged: bool = False
    """Newer checkpoints were passed over."""


class RunWriter(NoWriter):
    """Writes one run's files. The caller holds the directory's lock."""

    def __init__(
        self,
        run: RunDirectory,
        summary: Summary,
        *,
        tensorboard: bool,
        keep: int,
        resumed: Resumed | None,
        record: Mapping[str, str],
        warn: Callable[[str], None],
    ) -> None:
        """Changes nothing yet, but for empty folders.

        Args:
            run: the directory.
            summary: of the run; written when it begins and when it ends.
            tensorboard: whether there are event files.
            keep: checkpoints: last.ckpt and those before it.
            resumed: where the run continues; None: nothing is there of an earlier one.
            record: of the files of `.hydra/`, by name, the content.
            warn: is called with each line that a person should read.

        Raises:
            UserError: the directory cannot be written; metrics.csv is there, and cannot be read.
        """
        super().__init__(summary)
        self.run, self.resumed = run, resumed
        self._keep, self._warn = keep, warn
        self._events = EventFiles(run.tensorboard, self._events_failed) if tensorboard else None
        self._metrics = MetricsFile(run.metrics)
        self._made = [folder for folder in (run.checkpoints, run.tensorboard) if not folder.exists()]
        try:
            run.create()
        except BaseException:
            self.leave()
            raise
        self._files = {run.config.parent / name: text for name, text in record.items()}
        self._waiting: list[tuple[int, Mapping[str, float]]] = []
        self._notified: set[Path] = set()
        self._saved_step = resumed.step if resumed is not None and resumed.checkpoint is not None else None
        self.begun = False
        self._has_ended = False

    def notify(self, line: str) -> None:
        """Tell a person; nothing that comes of it can end a run."""
        with suppress(OSError):
            self._warn(line)

    @property
    def open_row(self) -> Row:
        """The newest row, with its step; what is complete is on the disk."""
        return self._metrics.open_row

    def begin(self) -> None:
        """Take the place of what was there: training has begun, so nothing can refuse the run any more.

        Raises:
            RunError: the file system refused.
        """
        if self.begun:
            return
        run, resumed = self.run, self.resumed
        atomic.remove_partial(run.checkpoints)
        atomic.remove_partial(run.path, run.summary.name, run.metrics.name)
        if resumed is not None:
            if resumed.checkpoint is not None:
                rotation.take_over(run, resumed.checkpoint, newer_are_damaged=resumed.newer_are_damaged)
            self._metrics.resume_at(resumed.step, resumed.row)
        if self._events is not None:
            self._events.begin(None if resumed is None else resumed.step)
        self.begun = True
        for path, text in self._files.items():
            self.file(path, text)
        self.summary.write(run.summary)
        if resumed is not None:
            self._scalars(resumed.step, self._recorded(resumed.step))
        for step, values in self._waiting:
            self.row(step, values)

    def row(self, step: int, values: Mapping[str, float]) -> None:
        """Record scalars of optimizer step `step`: in metrics.csv, and in TensorBoard under the same names."""
        if not self.begun:
            self._waiting.append((step, values))
            return
        # Of a step that is resumed a validation may be recorded already.
        new = {name: value for name, value in values.items() if name not in self._recorded(step)}
        with self._patient(self.run.metrics):
            self._metrics.add(step, values)
        self._scalars(step, new)

    def text(self, name: str, text: str, step: int) -> None:
        """TensorBoard reads Markdown, so a text becomes a code block."""
        fence = "\n".join(f"    {line}" for line in spelled_out(text).splitlines())
        self._record(lambda events: events.add_text(name, fence, step))

    def histogram(self, name: str, values: "Tensor", step: int) -> None:
        """Left out where a value is not finite."""
        if self._events is not None and values.numel() and bool(values.isfinite().all()):
            self._record(lambda events: events.add_histogram(name, values.float(), step))

    def curve(self, name: str, values: Sequence[float | None]) -> None:
        """Not in metrics.csv, which is of training."""
        for step, value in enumerate(values):
            if value is not None:
                self._scalars(step, {name: value})

    def outcome(self, hyperparameters: Mapping[str, Any], metrics: Mapping[str, float | None]) -> None:
        """With several metrics, each a curve `final/...` of one point."""
        from torch.utils.tensorboard.summary import hparams

        known = {name: value for name, value in metrics.items() if value is not None and math.isfinite(value)}
        final = {f"final/{name}": value for name, value in known.items()}
        plain = {
            key: value if isinstance(value, (bool, int, float)) else spelled_out(str(value))
            for key, value in flat_keys(hyperparameters).items()
        }
        for summary in hparams(plain, final):  # type: ignore[no-untyped-call]
            self._record(partial(Events.add_summary, summary=summary))
        self._scalars(0, final)

    def file(self, path: Path, text: str) -> None:
        """Before the run has begun, the text waits.

        Raises:
            RunError: the file cannot be written.
        """
        if not self.begun:
            self._files[path] = text
            return
        try:
            path.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise atomic.write_error(path.parent, error) from error
        atomic.write_text(path, text)

    def save(self, checkpoint: dict[str, Any], path: Path) -> bool:
        """Write a checkpoint of the run; where that fails, a person is notified, and what was there before is whole.

        A second last.ckpt of one step is not written: it would push an older one out, and add nothing.
        """
        last, step = path == self.run.last, int(checkpoint["global_step"])
        if last and step == self._saved_step:
            return True
        self._sync()
        try:
            checkpoint_file.save(
                checkpoint, path, before=(lambda: rotation.make_room(path, self._keep)) if last else None
            )
        except RunError as error:
            self.unsaved = error if last else self.unsaved
            self.notify(f"{str(error).splitlines()[0]}; training continues")
            return False
        if last:
            self._saved_step, self.unsaved = step, None
        return True

    def end(self, status: Status, reason: str | None = None) -> None:
        """Of a run that never began nothing is left, but that it failed, in a directory that holds no other run.

        Raises:
            RunError: a file cannot be written.
        """
        if self._has_ended:  # what goes wrong after that is no end of the run
            return
        self.summary.status, self.summary.reason = status, reason
        if self._events is not None:
            self._events.close()
        if self.begun:
            self._metrics.sync(open_row=True)
            self.summary.write(self.run.summary)
        else:
            if status == "failed" and self.run.is_empty():
                self.summary.write(self.run.summary)
            self.leave()
        self._has_ended = True

    def leave(self) -> None:
        """Of a run that was refused: take away the empty folders that were made for it."""
        for folder in self._made:
            with suppress(OSError):  # something is in it
                folder.rmdir()

    def _sync(self) -> None:
        """Bring to the disk what a checkpoint covers: events first, so that they have what the rows know of."""
        if self._events is not None:
            self._events.flush()
        with self._patient(self.run.metrics):
            self._metrics.sync(open_row=False)

    def _recorded(self, step: int) -> Row:
        """The values that `step` has already."""
        row = self._metrics.open_row
        return {name: value for name, value in row.items() if name != STEP} if row.get(STEP) == step else {}

    def _scalars(self, step: int, values: Mapping[str, float]) -> None:
        def write(events: Events) -> None:
            for name, value in values.items():
                events.add_scalar(name, value, step)

        self._record(write)

    def _record(self, record: Record) -> None:
        if self._events is not None:
            self._events.write(record)

    def _events_failed(self, error: RunError) -> None:
        self._notify_once(self.run.tensorboard, error)

    @contextmanager
    def _patient(self, path: Path) -> Iterator[None]:
        """For what can be done later: rows wait in memory."""
        try:
            yield
        except RunError as error:
            self._notify_once(path, error)

    def _notify_once(self, path: Path, error: RunError) -> None:
        if path not in self._notified:
            self._notified.add(path)
            self.notify(f"{str(error).splitlines()[0]}; training continues")
