"""Opening a file of a run that somebody else may have made: it is a regular file of a bounded size, or it is refused.

A run directory may come from anywhere. A pipe there would wait for ever, a link to an endless device fill the memory.
Links themselves are fine: checkpoints may lie on a larger disk.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

SMALL = 16 * 2**20
"""Bytes that a summary, an evaluation or a record may have; what programs write there has a thousandth of it."""


class NotRegular(OSError):
    """It is a folder, a pipe, a socket or a device."""


def open_regular(path: Path) -> BufferedReader:
    """`path`, or what it links to, open for reading bytes from its start.

    Raises:
        OSError: it cannot be opened, or is none (NotRegular).
        ValueError: no file system can hold such a path.
    """
    _check(os.stat(path), path)  # asked before opening: that alone moves some devices
    # Should a pipe take its place meanwhile, opening does not wait for a writer. Windows has neither flag.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags), "rb")
    try:
        _check(os.fstat(file.fileno()), path)
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int = SMALL) -> bytes:
    """The content of `path`.

    Raises:
        OSError: as `open_regular`; or it has more than `most` bytes, whatever its size is said to be.
        ValueError: as `open_regular`.
    """
    with open_regular(path) as file:
        data = file.read(most + 1) or b""  # None: some of /proc would wait
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes, which no such file is", str(path))
    return data


def _check(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegular(errno.EINVAL, "not a regular file", str(path))
