"""Keep freed memory in the process.

glibc gives large blocks back to the kernel as soon as they are free, so every training step on a CPU pays for the same
pages again. Three settings stop that. A process cannot take them back; they are glibc's, and
elsewhere nothing is done.
"""

import ctypes
import sys

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""mallopt's parameter numbers, from glibc's malloc.h."""


_kept = False


def keeps_freed_memory() -> bool:
    """Whether this process does; once it does, it stays so."""
    return _kept


def keep_freed_memory() -> bool:
    """Ask glibc to keep what is freed; gives whether it agreed (False where there is no glibc)."""
    global _kept
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # musl
        return False
    settings = ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 1 << 28))
    agreed = all(libc.mallopt(parameter, value) == 1 for parameter, value in settings)
    _kept = _kept or agreed
    return agreed
