"""Files that are being written, and those that a killed process left half-written: told apart by a lock.

The system lets go of a lock when its process ends, however it ends. Where there are no such locks (Windows), a file
that somebody has open cannot be removed: there that is the test. It has not been tried there.
"""

import hashlib
import importlib
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path
from types import ModuleType

fcntl: ModuleType | None
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:
    fcntl = None

SECONDS_TO_BE_FORGOTTEN = 24 * 3600.0
"""Without a change, after which another machine's file is taken to be abandoned: not every lock reaches another one."""


def this_host() -> str:
    """Eight hexadecimal digits for the name of a file, by which the machine that writes it is known."""
    return hashlib.sha256(socket.gethostname().encode("utf-8", "surrogateescape")).hexdigest()[:8]


@contextmanager
def new_file(path: Path) -> Iterator[BufferedRandom]:
    """A new binary file, readable and seekable too, that others take to be in use until the block ends, closed or not.

    Raises:
        OSError: it is there already, or cannot be made.
    """
    while True:
        with path.open("x+b") as file:  # obeys the umask; tempfile's files would be readable by their owner alone
            mark = _mark(file)
            try:
                if fcntl is None or os.fstat(file.fileno()).st_nlink:
                    yield file
                    return
            finally:
                if mark is not None:
                    os.close(mark)
        # Removed as abandoned before it was locked: once more.


def _mark(file: BufferedRandom) -> int | None:
    """Lock it, by a descriptor of its own, which outlasts the file's."""
    if fcntl is None:
        return None
    mark = os.dup(file.fileno())
    with suppress(OSError):  # no locks on this file system: then nobody takes it to be abandoned, either
        fcntl.flock(mark, fcntl.LOCK_EX)  # waits for one who just asks
    return mark


def remove_if_abandoned(path: Path, *, by_this_host: bool) -> bool:
    """Remove a file whose writer has ended; whether it was. A file of another machine must have been still for a day.

    Never raises: what cannot be looked at or removed stays.
    """
    try:
        if not by_this_host and time.time() - path.stat().st_mtime < SECONDS_TO_BE_FORGOTTEN:
            return False
        if fcntl is None:
            path.unlink()
            return True
        flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)  # to write: NFS locks no other
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True
