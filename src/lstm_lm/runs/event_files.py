"""TensorBoard's event files: begun when a run begins to train, and without a point that is recorded twice."""

import io
import os
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from lstm_lm.display import spelled_out
from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import atomic, board
from lstm_lm.runs.regular_file import NotRegular, open_regular

if TYPE_CHECKING:  # TensorBoard is slow to import, and much in this folder works without
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from torch import Tensor

SECONDS = 120
"""Between two writes, where no `flush` comes: for those who watch."""
MOST_WAITING = 64 * 2**20
"""Bytes that wait in memory while the disk is full; beyond them, all that waits is dropped."""
BEFORE_TRAINING = ("tune/",)
"""Names of what is recorded once, by steps of its own."""
AT_THE_END = (board.BEST, "sample/final", "_hparams_/")
"""Names of what is recorded whenever a run ends."""

_NAME = re.compile(r"events\.out\.tfevents\.(?P<stamp>\d{10})\..*")


class Events:
    """What has been recorded and is not in a file yet, as TensorBoard's records."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def add_scalar(self, name: str, value: float, step: int, description: str = "") -> None:
        """Record a number; `description`: of all of its name, in Markdown."""
        from torch.utils.tensorboard.summary import scalar

        summary = scalar(name, value)  # type: ignore[no-untyped-call]
        if description:
            metadata = summary.value[0].metadata
            metadata.summary_description = description
            metadata.plugin_data.plugin_name = "scalars"  # TensorBoard warns of a description that is nobody's
        self.add_summary(summary, step)

    def add_text(self, name: str, text: str, step: int) -> None:
        """Record a text, in Markdown."""
        from torch.utils.tensorboard.summary import text as summary_of

        self.add_summary(summary_of(name, text), step)  # type: ignore[no-untyped-call]

    def add_histogram(self, name: str, values: "Tensor", step: int) -> None:
        """Record how `values` (any shape, at least one, all finite) are distributed."""
        from torch.utils.tensorboard.summary import histogram

        self.add_summary(histogram(name, values, _buckets()), step)  # type: ignore[no-untyped-call]

    def add_summary(self, summary: "Summary", step: int = 0) -> None:
        """Record what one of `torch.utils.tensorboard.summary`'s functions has made."""
        from tensorboard.compat.proto.event_pb2 import Event

        self.waiting += _record(Event(wall_time=time.time(), step=int(step), summary=summary))


Record = Callable[[Events], object]


class EventFiles:
    """One file after the other in `folder`: one for each process that has trained there.

    What is recorded before `begin` waits in memory: a run that is refused, or killed while it starts, changes nothing.
    While the disk is full, it waits too, and comes to the disk with the first `flush` that finds space.
    """

    def __init__(self, folder: Path, report: Callable[[RunError], None]) -> None:
        """`report` is called with why a file could not be written, at each try.

        Raises:
            UserError: TensorBoard, which reads UTF-8 paths only, has no name for `folder`.
        """
        if (shown := spelled_out(str(folder))) != str(folder):
            raise UserError(
                f"{shown}: TensorBoard cannot read from a folder whose name is not UTF-8\n"
                "choose another with hydra.run.dir=DIR, or do without it: logger.tensorboard=false"
            )
        self._folder = folder
        self._report = report
        self._events = Events()
        self._begun = False
        self._resumed_step: int | None = None
        """Until earlier files have been cut there."""
        self._path: Path | None = None
        self._flushed_at = 0.0

    def begin(self, resumed_step: int | None) -> None:
        """Write from here on.

        What earlier files hold beyond `resumed_step` is removed from them: it will be recorded again. So are scalars of
        that step itself, since its row is recorded again, and what was recorded when the run ended. A run that was
        killed before its first checkpoint is resumed at step 0, and nothing of it stays.
        """
        self._begun, self._resumed_step = True, resumed_step
        self.flush()

    def write(self, record: Record) -> None:
        """Have `record` add to what is recorded."""
        record(self._events)
        if self._begun and time.monotonic() - self._flushed_at > SECONDS:
            self.flush()

    def flush(self) -> None:
        """Bring to the disk what has been recorded, once `begin` was called."""
        if not self._begun:
            return
        self._flushed_at = time.monotonic()
        try:
            if self._resumed_step is not None:
                for path in self._earlier():
                    _cut(path, self._resumed_step)
                self._resumed_step = None
            if self._events.waiting:
                self._append(bytes(self._events.waiting))
                self._events.waiting.clear()
        except OSError as error:
            self._report(atomic.write_error(self._folder, error))
        except RunError as error:
            self._report(error)
        if len(self._events.waiting) > MOST_WAITING:
            self._events.waiting.clear()

    def close(self) -> None:
        """Bring it to the disk; what does not fit, or was not begun, is forgotten."""
        self.flush()
        self._events.waiting.clear()
        self._begun = False

    def _earlier(self) -> list[Path]:
        return sorted(path for path in self._folder.glob("events.out.tfevents.*") if path != self._path)

    def _append(self, records: bytes) -> None:
        self._path = self._path or self._new_path()
        with self._path.open("ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            data = records if size else _version() + records
            try:
                written = 0
                while written < len(data):
                    written += file.write(data[written:])
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(size)  # TensorBoard reads nothing behind half a record
                raise

    def _new_path(self) -> Path:
        """One that sorts behind all others, whatever the clock: TensorBoard reads by name, and never goes back."""
        stamps = [int(found["stamp"]) for path in self._earlier() if (found := _NAME.fullmatch(path.name))]
        stamp = max([int(time.time()), *(stamp + 1 for stamp in stamps)])
        return self._folder / f"events.out.tfevents.{stamp:010d}.{socket.gethostname()}.{os.getpid()}.0"


def _cut(path: Path, step: int) -> None:
    """Remove what a run that is resumed at `step` records again; a file that has nothing else goes away.

    Raises:
        OSError: the file cannot be read.
        RunError: it cannot be written.
    """
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.event_pb2 import Event

    kept: list[bytes] = []
    shows_anything = False
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            for record in _records(file, size):
                try:
                    event = Event.FromString(record[12:-4])
                except DecodeError:  # it is not ours to remove
                    kept.append(record)
                    shows_anything = True
                    continue
                if _stays(event, step):
                    kept.append(record)
                    shows_anything = shows_anything or event.HasField("summary")
    except NotRegular:  # a run from elsewhere; TensorBoard will not read from there either
        return
    if not shows_anything:
        path.unlink()
    elif sum(map(len, kept)) < size:
        with atomic.replacing(path) as new:
            new.writelines(kept)


def _stays(event: "Event", step: int) -> bool:
    """Whether it holds nothing that a run, resumed at `step`, will record again."""
    if step == 0:
        return False
    names = [value.tag for value in event.summary.value]
    if any(name.startswith(BEFORE_TRAINING) for name in names):
        return True
    if any(name.startswith(AT_THE_END) for name in names):
        return False
    is_scalar = any(value.HasField("simple_value") for value in event.summary.value)
    return event.step < step or (event.step == step and not is_scalar)


def _records(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Whole records, with their lengths and check sums, which need not be computed again: that is slow."""
    while len(header := file.read(12)) == 12:
        (length,) = struct.unpack("<Q", header[:8])
        if length + 4 > size - file.tell():  # cut off
            return
        yield header + file.read(length + 4)


def _record(event: "Event") -> bytes:
    from tensorboard.summary.writer.record_writer import RecordWriter

    file = io.BytesIO()
    RecordWriter(file).write(event.SerializeToString())
    return file.getvalue()


def _version() -> bytes:
    """What each file begins with."""
    from tensorboard.compat.proto.event_pb2 import Event

    return _record(Event(wall_time=time.time(), file_version="brain.Event:2"))


def _buckets() -> list[float]:
    """Edges of TensorBoard's own histograms: each a tenth further from zero than the one before."""
    edges = [1e-12]
    while edges[-1] * 1.1 < 1e20:
        edges.append(edges[-1] * 1.1)
    return [*(-edge for edge in reversed(edges)), 0.0, *edges]
