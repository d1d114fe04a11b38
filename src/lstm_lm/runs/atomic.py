"""Files and folders that are whole or not there: written beside their place, then renamed into it; files are synced."""

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from lstm_lm import unfinished
from lstm_lm.errors import RunError
from lstm_lm.renaming import remove, rename

ANOTHER_FOLDER = "another folder: hydra.run.dir=DIR"
_PARTIAL = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.tmp")
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def replacing(
    path: Path, elsewhere: str = ANOTHER_FOLDER, before: Callable[[], None] | None = None, *, new: bool = False
) -> Iterator[BufferedRandom]:
    """A new binary file to fill (readable and seekable too), which takes the place of `path` when the block ends.

    Whatever goes wrong before that, `path` stays as it was and the new file goes away. A process that is killed in
    the block leaves `.NAME.XXXXXXXXXXXXXXXX.tmp` behind, which nothing here ever reads, and which the next call for the
    same `path` removes. `elsewhere` is what to choose instead, with the key that does. `before` is called when the new
    file is whole and on the disk, just before it takes its place. `new`: there must be nothing at `path` then, either;
    what has come there stays.

    Raises:
        RunError: the operating system refused (full disk, missing permission, ...); names the path and the cause.
    """
    remove_partial(path.parent, path.name)
    temporary = path.with_name(f".{path.name}.{unfinished.unique()}.tmp")
    try:
        with unfinished.new_file(temporary) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            file.close()  # Windows renames no file that is open
            if before is not None:
                before()
            if new:
                _give_new_name(temporary, path)
            else:
                rename(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise write_error(path, error, elsewhere) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A new folder beside `path`, to fill and then rename; what is still there at the end goes away.

    A process that is killed in the block leaves it behind, as `replacing` leaves a file.

    Raises:
        OSError: it cannot be made.
    """
    for left in _partial(path.parent, path.name):
        unfinished.remove_folder_if_abandoned(left)
    temporary = path.with_name(f".{path.name}.{unfinished.unique()}.tmp")
    with unfinished.new_folder(temporary):
        try:
            yield temporary
        finally:
            with contextlib.suppress(OSError):
                remove(temporary)


def remove_partial(folder: Path, *names: str) -> int:
    """Delete what killed processes left half-written in `folder`; gives how many files.

    Of the files called `names`; without names, of all there. What a process that lives is writing stays.
    """
    return sum(map(unfinished.remove_if_abandoned, _partial(folder, *names)))


def _partial(folder: Path, *names: str) -> list[Path]:
    """What is, or was, being written there."""
    try:
        there = sorted(folder.glob(".*.tmp"))
    except OSError:  # no such folder, or not ours to look into
        return []
    found = ((path, _PARTIAL.fullmatch(path.name)) for path in there)
    return [path for path, match in found if match and (not names or match["name"] in names)]


def write_bytes(path: Path, data: bytes, *, new: bool = False) -> None:
    """Make `data` the content of `path`, all or nothing; `new` as in `replacing`.

    Raises:
        RunError: as in `replacing`.
    """
    with replacing(path, new=new) as file:
        file.write(data)


def write_text(path: Path, text: str, *, new: bool = False) -> None:
    r"""Make `text`, as UTF-8 and with its line ends untouched, the content of `path`, all or nothing; `new` as above.

    Raises:
        RunError: as in `replacing`.
    """
    write_bytes(path, text.encode("utf-8"), new=new)


def write_error(path: Path, error: OSError | ValueError, elsewhere: str = ANOTHER_FOLDER) -> RunError:
    """What a person needs to know when `path` could not be written: which, why, what to do (two lines).

    A ValueError says that no file system can hold such a path.
    """
    number = getattr(error, "errno", None)
    if number in _NO_SPACE:
        remedy = f"free some space there (or raise the quota), or choose {elsewhere}"
    elif number in _NO_PERMISSION:
        remedy = f"allow writing there, or choose {elsewhere}"
    else:
        remedy = f"check that this folder exists and works, or choose {elsewhere}"
    return RunError(f"{path}: cannot be written: {getattr(error, 'strerror', None) or error}\n{remedy}")


def _give_new_name(temporary: Path, path: Path) -> None:
    """A second name for the file, which no file system gives twice; its first one goes away later.

    Where a file has but one name (FAT, some network file systems), the new one is taken by an empty file first.

    Raises:
        FileExistsError: somebody else has made a file of that name meanwhile.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        rename(temporary, path)


def _sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut."""
    if not hasattr(os, "O_DIRECTORY"):  # Windows cannot open folders
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync folders; the rename itself is done
            raise
    finally:
        os.close(descriptor)
