"""Of the processes that want an entry of the token store, one makes it; what killed ones left half-made goes away."""

import logging
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lstm_lm import unfinished
from lstm_lm.printable import printable

SECONDS_BEFORE_A_WORD = 3.0

log = logging.getLogger(__name__)


@contextmanager
def only_maker(entry: Path) -> Iterator[Path]:
    """Wait until no other process makes `entry`, a folder to be, and gives one beside it to make it in (not made yet).

    While it is made, a file `.maker` beside that folder says by whom, and is held as `unfinished` holds files.

    Raises:
        OSError: the folder of the locks cannot be written.
    """
    lock = FileLock(_lock_file(entry))
    try:
        lock.acquire(timeout=SECONDS_BEFORE_A_WORD)
    except Timeout:
        log.warning("waiting for %s, which prepares this text: %s", _maker(entry), printable(str(entry.parent)))
        lock.acquire()
    building = entry.with_name(f"{entry.name}.{unfinished.unique()}.building")
    marker = building.with_suffix(".maker")
    try:
        _remove_abandoned(entry.parent)
        with unfinished.new_file(marker) as file:
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode("utf-8", "replace"))
            file.flush()
            yield building
    finally:
        if not building.exists():
            marker.unlink(missing_ok=True)
        lock.release()


def _lock_file(entry: Path) -> Path:
    """One of 256, made as they are needed: a lock for each entry would stay beside it, and after it, for ever.

    To remove a lock's file that somebody may be waiting for is safe on few systems. Two entries that share one wait for
    each other without need, once.
    """
    folder = entry.parent.with_name("locks")
    folder.mkdir(exist_ok=True)
    return folder / f"{entry.name[-2:]}.lock"


def _maker(entry: Path) -> str:
    for marker in entry.parent.glob(f"*{entry.name[-2:]}.*.maker"):
        with suppress(OSError):  # just done
            return printable(marker.read_text(encoding="utf-8", errors="replace"))
    return "another process"


def _remove_abandoned(store: Path) -> None:
    for marker in store.glob("*.maker"):
        if unfinished.remove_if_abandoned(marker):
            shutil.rmtree(marker.with_suffix(".building"), ignore_errors=True)
