"""TensorBoard's event files: begun when a run begins to train, and for as long as the disk takes them."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from lstm_lm.display import spelled_out
from lstm_lm.errors import UserError

PROBE_BYTES = 1 << 16
"""What must fit before a new file is begun where the disk was full."""

Record = Callable[[SummaryWriter], object]


class EventFiles:
    """One file after the other in `folder`.

    What is recorded before `begin` waits in memory: a run that is refused, or killed while it starts, changes nothing.
    Where the disk is full, what is recorded is left out, until a `flush` finds space for a new file.
    """

    def __init__(self, folder: Path, tell: Callable[[OSError], None]) -> None:
        """`tell` hears why a file could not be written.

        Raises:
            UserError: TensorBoard, which writes and reads UTF-8 paths only, has no name for `folder`.
        """
        if (shown := spelled_out(str(folder))) != str(folder):
            raise UserError(
                f"{shown}: TensorBoard cannot write into a folder whose name is not UTF-8\n"
                "choose another with hydra.run.dir=DIR, or do without it: logger.tensorboard=false"
            )
        self._folder = folder
        self._tell = tell
        self._waiting: list[Record] | None = []
        self._purge_step: int | None = None
        self._writer: SummaryWriter | None = None
        self._full = False
        self._hook_before = threading.excepthook

    def begin(self, after: int | None) -> None:
        """Write from here on; what earlier files hold of steps beyond `after` shall not be shown any more."""
        waiting, self._waiting = self._waiting, None
        threading.excepthook = self._hear_of_a_thread
        self._purge_step = None if after is None else after + 1
        for record in waiting or ():
            self.write(record)

    def write(self, record: Record) -> None:
        """Have it recorded."""
        if self._waiting is not None:
            self._waiting.append(record)
        elif not self._full:
            with self._patiently():
                if self._writer is None:
                    self._writer = SummaryWriter(str(self._folder), purge_step=self._purge_step)
                    self._purge_step = None
                record(self._writer)

    def flush(self) -> None:
        """Bring to the disk what has been recorded."""
        self._full = self._full and not self._has_space()
        if self._writer is not None:
            with self._patiently():
                self._writer.flush()

    def close(self) -> None:
        """Bring it to the disk; nothing more will be recorded, and what waits is forgotten."""
        if self._writer is not None:
            with self._patiently():
                self._writer.close()
        self._writer = None
        if self._waiting is None:
            threading.excepthook = self._hook_before

    @contextmanager
    def _patiently(self) -> Iterator[None]:
        """TensorBoard writes in a thread, so what fails here is of an earlier call."""
        try:
            yield
        except OSError as error:
            self._full = True
            if self._writer is not None:
                with contextlib.suppress(OSError):
                    self._writer._get_file_writer().event_writer._async_writer.close()  # type: ignore[no-untyped-call]
                self._writer = None
            self._tell(error)

    def _hear_of_a_thread(self, what: threading.ExceptHookArgs) -> None:
        """TensorBoard's threads end with what they could not write, and keep it: it is told here, not by them."""
        if not (issubclass(what.exc_type, OSError) and type(what.thread).__module__.startswith("tensorboard.")):
            self._hook_before(what)

    def _has_space(self) -> bool:
        try:
            with tempfile.TemporaryFile(dir=self._folder) as probe:  # nameless: a killed process leaves none
                probe.write(bytes(PROBE_BYTES))
                probe.flush()
                os.fsync(probe.fileno())
        except OSError:
            return False
        return True
