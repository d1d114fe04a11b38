"""One process at a time trains in a run directory."""

import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from lstm_lm.errors import UserError

SECONDS_TO_WAIT = 0.5
"""For one that only asks (`is_held`) to let go again."""


@contextmanager
def only_one(run_dir: Path, key: str = "hydra.run.dir") -> Iterator[None]:
    """Hold `run_dir` for this process, which may hold it already; the system lets go of it if the process dies.

    The lock itself lies in the system's folder for temporary files, so that a directory that is refused stays as it is.
    It keeps apart one user's processes on one machine.

    Args:
        run_dir: the directory.
        key: of the configuration, that names it.

    Raises:
        UserError: another process trains there.
    """
    lock = _lock(run_dir)
    try:
        lock.acquire(timeout=SECONDS_TO_WAIT)
    except Timeout:
        raise _in_use(run_dir, key) from None
    try:
        yield
    finally:
        lock.release()


def refuse_where_held(run_dir: Path, key: str = "hydra.run.dir") -> None:
    """For whoever is about to have another process work there, or to take away what lies there.

    Raises:
        UserError: a process trains there.
    """
    if is_held(run_dir):
        raise _in_use(run_dir, key)


def is_held(run_dir: Path) -> bool:
    """Whether a process of this user trains in `run_dir` on this machine, this process included.

    Asking takes the lock for an instant, where a process has once held it; elsewhere nothing is made.
    """
    lock = _lock(run_dir)
    if lock.is_locked:
        return True
    if not os.path.exists(lock.lock_file):
        return False
    try:
        lock.acquire()
    except (Timeout, OSError):  # without permission, someone else's
        return True
    lock.release()
    return False


def _in_use(run_dir: Path, key: str) -> UserError:
    pid = _holder(run_dir)
    which = "another process" if pid is None else f"another process ({pid})"
    return UserError(f"{run_dir}: {which} is training there\nwait until it has ended, or choose another {key}")


def _holder(run_dir: Path) -> int | None:
    """The process that holds `run_dir`, as far as the system tells; Windows is not asked: it may take minutes."""
    if sys.platform == "win32":
        return None
    path = os.path.realpath(lock_file(run_dir))
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or it has ended
            if process.pid != os.getpid() and any(file.path == path for file in process.open_files()):
                return int(process.pid)
    return None


def _lock(run_dir: Path) -> FileLock:
    return FileLock(lock_file(run_dir), timeout=0, is_singleton=True)


def lock_file(path: Path) -> Path:
    """The file that stands for `path` where processes of this user wait for each other."""
    name = hashlib.sha256(os.fsencode(os.path.normcase(os.path.abspath(path)))).hexdigest()[:32]
    user = os.getuid() if hasattr(os, "getuid") else "user"  # in a folder that users may share; on Windows they don't
    return Path(tempfile.gettempdir()) / f"lstm-lm-{user}-{name}.lock"
