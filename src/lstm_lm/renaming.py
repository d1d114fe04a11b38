"""Give a file or folder the name that another one has now, or remove it, though somebody may have it open."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

SECONDS_TO_LET_GO = 5.0
"""For whoever has the file open: a reader of a checkpoint, a scanner for viruses."""
_IN_USE = {5, 32}  # Windows' ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION


def rename(path: Path, new: Path) -> None:
    """`os.replace`, with patience: what another process has open, Windows neither renames nor replaces.

    Raises:
        OSError: the file system refused, or did for SECONDS_TO_LET_GO.
    """
    _with_patience(lambda: os.replace(path, new))


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there; with the same patience.

    Raises:
        OSError: the file system refused, or did for SECONDS_TO_LET_GO.
    """
    is_folder = path.is_dir() and not path.is_symlink()
    _with_patience(lambda: shutil.rmtree(path) if is_folder else path.unlink(missing_ok=True))


def _with_patience(do: Callable[[], None]) -> None:
    """The errors that are waited out carry a number that only Windows gives. It has not been tried there."""
    deadline = time.monotonic() + SECONDS_TO_LET_GO
    while True:
        try:
            return do()
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _IN_USE or time.monotonic() > deadline:
                raise
        time.sleep(0.05)
