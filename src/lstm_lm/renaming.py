"""Give a file or folder the name that another one has now."""

import os
import time
from pathlib import Path

SECONDS_TO_LET_GO = 5.0
"""For whoever has the file open: a reader of a checkpoint, a scanner for viruses."""
_IN_USE = {5, 32}  # Windows' ERROR_ACCESS_DENIED and ERROR_SHARING_VIOLATION


def rename(path: Path, new: Path) -> None:
    """`os.replace`, with patience: what another process has open, Windows neither renames nor replaces.

    The errors that are waited out carry a number that only Windows gives. It has not been tried there.

    Raises:
        OSError: the file system refused, or did for SECONDS_TO_LET_GO.
    """
    deadline = time.monotonic() + SECONDS_TO_LET_GO
    while True:
        try:
            return os.replace(path, new)
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _IN_USE or time.monotonic() > deadline:
                raise
        time.sleep(0.05)
