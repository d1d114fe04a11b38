"""Where downloads and token files are kept between runs, and what to say when that place cannot be written."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from lstm_lm.errors import RunError, UserError

NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG})


def cache_folder(option: str | None) -> Path:
    """The folder that `data.cache_dir` names, else the user's cache folder on this system. Not created here."""
    if option is not None:
        return Path(option).expanduser().absolute()
    return platformdirs.user_cache_path("lstm-lm", appauthor=False)


@contextmanager
def writing_below(folder: Path) -> Iterator[None]:
    """Turn an `OSError` from writing below `folder` into something its user can act on.

    Raises:
        RunError: the disk is full.
        UserError: the folder cannot be made or written.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        remedy = "free some space there, or name another folder with data.cache_dir=FOLDER"
        if error.errno in NO_SPACE:
            raise RunError(f"cannot write the prepared text below {folder}: {reason}\n{remedy}") from error
        remedy = "make it writable, or name another folder with data.cache_dir=FOLDER"
        raise UserError(f"cannot write the prepared text below {folder}: {reason}\n{remedy}") from error
