"""A file that a user names for a command to write: what it did not write itself, it does not write over."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from lstm_lm.errors import UserError

PICTURES = (".png", ".pdf", ".svg")
"""What the name of a picture's file may end in."""


def claim_output(path: Path, key: str, *endings: str, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuse, before any work, to write to `path`, which `key` of the command line names.

    Args:
        path: where the output is to lie. It need not exist; its folder must.
        key: for messages: `out`.
        endings: what its name must end in, `.npy`; one of these.
        overwrite: whether the user said that a file may be replaced. Never what is read, a link, a checkpoint, or what
            is no regular file.
        inputs: what the command reads.

    Raises:
        UserError: it cannot be written, or must not be.
    """
    said = f"{key}={path}"
    if os.path.isdir(path):
        raise UserError(f"{said}: a folder\nname a file in it: {key}={path / f'NAME{endings[0]}'}")
    if path.suffix.lower() not in endings:
        raise UserError(f"{said}: must end in {' or '.join(endings)}")
    check_folder_of(path, said)
    try:
        there = os.lstat(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(f"{said}: not a usable path: {error!s:.100}") from None
    if not stat.S_ISREG(there.st_mode):
        kind = "a link" if stat.S_ISLNK(there.st_mode) else "no regular file"
        raise UserError(f"{said}: {kind}, and is not replaced\nname another file")
    if any(_is(source, there) for source in inputs):
        raise UserError(f"{said}: is what this command reads\nname another file")
    if not overwrite:
        raise UserError(f"{said}: is there already\nname another file, or have it replaced with overwrite=true")


def check_folder_of(path: Path, said: str) -> None:
    """Refuse a place for an output, a file or a folder, where nothing can be made; `said`: `out=PATH`.

    Raises:
        UserError: its folder is not there, or not ours to write to.
    """
    folder = Path(os.path.abspath(path)).parent
    if not os.path.isdir(folder):
        raise UserError(f"{said}: there is no folder {folder}\nmake it, or name another place")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{said}: the folder {folder} cannot be written\nallow it, or name another place")


def _is(source: Path, there: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(source), there)
    except (OSError, ValueError):
        return False
