"""One process at a time trains in a run directory: it holds a lock that lies there."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from lstm_lm.errors import UserError
from lstm_lm.runs import atomic
from lstm_lm.runs.directory import RunDirectory, claim

LOCK = ".lock"
SECONDS_TO_WAIT = 0.5
"""For one that only asks (`is_held`) to let go again."""


@contextmanager
def hold_run(run_dir: str | Path | None) -> Iterator[RunDirectory]:
    """Hold a run's directory; None: a fresh one below `outputs/`, named by the time.

    Raises:
        UserError: as `only_one`.
    """
    if run_dir is not None:
        with only_one(Path(run_dir)):
            yield RunDirectory(Path(run_dir))
        return
    base = Path("outputs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    made = [path for path in (base.parent,) if not path.exists()]
    fresh = claim(base)
    with only_one(fresh, made=[fresh, *made]):
        yield RunDirectory(fresh)


@contextmanager
def only_one(folder: Path, key: str = "hydra.run.dir", *, made: Sequence[Path] = ()) -> Iterator[None]:
    """Hold `folder` for this process, which may hold it already; the system lets go of it if the process dies.

    The folder is made where it is missing, and goes away again if nothing but the lock is in it at the end; where
    nothing has come to what was in it, the lock alone goes. It stays as it is where another process has the lock.

    The lock is the system's (`flock`): Linux takes it to other machines that share the disk over NFS, unless that is
    mounted with `local_lock`. Tried on one machine only.

    Args:
        folder: a run directory, or the folder of a study, whatever its path.
        key: of the configuration, that names it.
        made: folders that the caller has made for it, the innermost first.

    Raises:
        UserError: another process works there, or the folder cannot be made or written.
    """
    before: set[str] = set()
    with suppress(OSError, ValueError):  # there is none yet, or `_acquired` says why it cannot be
        before.update(os.listdir(folder))
    made = [*made, *(path for path in (folder, *folder.parents) if not os.path.exists(path))]
    try:
        lock = _acquired(folder, key)
    except BaseException:
        _remove_empty(made)
        raise
    try:
        yield
    finally:
        with suppress(OSError):  # the folder is not there any more
            as_it_was = {LOCK} if LOCK in before else {LOCK, *before}
            if lock.lock_counter == 1 and set(os.listdir(folder)) <= as_it_was:
                os.unlink(lock.lock_file)
        lock.release()
        _remove_empty(made)


def refuse_where_held(folder: Path, key: str = "hydra.run.dir") -> None:
    """For whoever is about to have another process work there, or to take away what lies there.

    Raises:
        UserError: a process works there.
    """
    if is_held(folder):
        raise _in_use(folder, key)


def is_held(folder: Path) -> bool:
    """Whether a process works in `folder`, this process included; asking takes the lock for an instant.

    A lock that may not be opened counts as held: somebody else's run is nobody else's to continue.
    """
    if not os.path.exists(_lock_file(folder)):
        return False
    lock = _lock(folder)
    if lock.is_locked:
        return True
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError):
        return True
    lock.release()
    return False


def _acquired(folder: Path, key: str) -> FileLock:
    try:
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            lock = _lock(folder)
            with suppress(FileNotFoundError):
                lock.acquire(timeout=SECONDS_TO_WAIT)
                if os.path.exists(lock.lock_file):
                    return lock
                lock.release()
            # Its holder has just taken away a folder that it had made in vain: once more.
    except Timeout:
        raise _in_use(folder, key) from None
    except (OSError, ValueError) as error:
        raise UserError(str(atomic.write_error(folder, error, f"another folder: {key}=DIR"))) from error


def _in_use(folder: Path, key: str) -> UserError:
    pid = _holder(folder)
    which = "another process" if pid is None else f"another process ({pid})"
    return UserError(f"{folder}: {which} is training there\nwait until it has ended, or choose another {key}")


def _holder(folder: Path) -> int | None:
    """The process that holds `folder`, as far as the system tells; Windows is not asked: it may take minutes."""
    if sys.platform == "win32":
        return None
    path = _lock_file(folder)
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # another user's, or it has ended
            if process.pid != os.getpid() and any(file.path == path for file in process.open_files()):
                return int(process.pid)
    return None


def _lock(folder: Path) -> FileLock:
    return FileLock(_lock_file(folder), timeout=0, is_singleton=True)


def _lock_file(folder: Path) -> str:
    """On the real path: a link to the folder is the same folder."""
    return os.path.join(os.path.realpath(folder), LOCK)


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError, ValueError):  # not there, no name for a folder, or somebody has put something there
            folder.rmdir()
