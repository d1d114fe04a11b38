"""Of the processes that want an entry of the token store, one makes it; what killed ones left half-made goes away."""

import logging
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from lstm_lm.printable import printable

SECONDS_BEFORE_A_WORD = 3.0
SECONDS_TO_BE_FORGOTTEN = 24 * 3600.0
"""Without a change, after which another machine's half-made entry is taken to be abandoned.

The lock alone would tell, but locks of shared folders do not always reach other machines.
"""
_BUILDING = re.compile(r"(?P<entry>.+)\.(?P<host>[^.]+)\.(?P<pid>[0-9]+)\.building")

log = logging.getLogger(__name__)


@contextmanager
def only_maker(entry: Path) -> Iterator[Path]:
    """Wait until no other process makes `entry`, a folder to be, and gives one beside it to make it in (not made yet).

    Raises:
        OSError: the folder of the locks cannot be written.
    """
    lock = FileLock(_lock_file(entry))
    try:
        lock.acquire(timeout=SECONDS_BEFORE_A_WORD)
    except Timeout:
        log.warning("waiting for %s, which prepares this text: %s", _maker(entry), printable(str(entry.parent)))
        lock.acquire()
    try:
        _remove_abandoned(entry)
        yield entry.with_name(f"{entry.name}.{_host()}.{os.getpid()}.building")
    finally:
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
    for folder in entry.parent.glob(f"*{entry.name[-2:]}.*.building"):
        if found := _BUILDING.fullmatch(folder.name):
            return f"process {found['pid']} on {found['host']}"
    return "another process"


def _remove_abandoned(entry: Path) -> None:
    """Of any entry; whoever holds `entry`'s lock calls this."""
    for folder in entry.parent.glob("*.building"):
        found = _BUILDING.fullmatch(folder.name)
        if not found or (found["host"] != _host() and _seconds_since_a_change(folder) < SECONDS_TO_BE_FORGOTTEN):
            continue
        lock_file = _lock_file(entry.with_name(found["entry"]))
        with suppress(Timeout), nullcontext() if lock_file == _lock_file(entry) else FileLock(lock_file, timeout=0):
            shutil.rmtree(folder, ignore_errors=True)


def _seconds_since_a_change(folder: Path) -> float:
    try:
        return time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:  # it is going away
        return 0.0


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname())[:40] or "unknown"
