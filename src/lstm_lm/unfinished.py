"""Files and folders that are being written, and those that a killed process left half-written: told apart by a lock.

The system lets go of a lock when its process ends, however it ends. Where there are no such locks (Windows), a file
that somebody has open cannot be removed: there that is the test, and a folder must have been still for a day. This has
not been tried there.
"""

import hashlib
import importlib
import os
import re
import secrets
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedRandom
from pathlib import Path
from types import ModuleType

from lstm_lm.renaming import remove

fcntl: ModuleType | None
try:
    fcntl = importlib.import_module("fcntl")
except ImportError:
    fcntl = None

SECONDS_TO_BE_FORGOTTEN = 24 * 3600.0
"""Without a change, after which another machine's file is taken to be abandoned: not every lock reaches another one."""


_WRITER = re.compile(r"(?P<host>[0-9a-f]{8})[0-9a-f]{8}\.[a-z]+$")


def unique() -> str:
    """16 hexadecimal digits for the end of a file's name, before its suffix: they tell its writer's machine."""
    return f"{this_host()}{secrets.token_hex(4)}"


def this_host() -> str:
    """The first eight of those."""
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


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """A new folder that others take to be in use until the block ends, by whatever name it then has.

    Raises:
        OSError: it is there already, or cannot be made.
    """
    while True:
        path.mkdir()
        try:
            mark = _mark_folder(path)
        except FileNotFoundError:  # removed as abandoned before it was locked: once more
            continue
        try:
            if mark is None or _is_open_as(path, mark):
                yield
                return
        finally:
            if mark is not None:
                os.close(mark)


def _mark_folder(path: Path) -> int | None:
    """Lock it, where there are such locks."""
    if fcntl is None:
        return None
    mark = os.open(path, os.O_RDONLY)
    with suppress(OSError):  # as in `_mark`
        fcntl.flock(mark, fcntl.LOCK_EX)
    return mark


def _is_open_as(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def remove_folder_if_abandoned(path: Path) -> bool:
    """Remove a folder, with all that is in it, whose writer has ended; whether it was. Otherwise as for files."""
    try:
        still = time.time() - path.stat(follow_symlinks=False).st_mtime >= SECONDS_TO_BE_FORGOTTEN
        if not still and (fcntl is None or not _is_from_here(path)):
            return False
        if fcntl is None:
            remove(path)
            return True
        flags = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(path, flags)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def remove_if_abandoned(path: Path) -> bool:
    """Remove a file whose writer has ended; whether it was.

    One whose name, by `unique`, is not of this machine must have been still for a day. Never raises: what cannot be
    looked at or removed stays.
    """
    try:
        if not _is_from_here(path) and time.time() - path.stat().st_mtime < SECONDS_TO_BE_FORGOTTEN:
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


def _is_from_here(path: Path) -> bool:
    """Whether its name, by `unique`, is of this machine."""
    writer = _WRITER.search(path.name)
    return writer is not None and writer["host"] == this_host()
