"""Send OpenMP's idle threads to sleep.

After a parallel operation OpenMP's threads spin for milliseconds, in case another follows at once. Each of them keeps a
core from the grid's workers meanwhile, which is longer than a cell takes.
"""

import ctypes
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

OMP_PAUSE_SOFT = 1
"""From OpenMP 5.0's omp.h: free what can be had again; the next parallel operation starts its threads anew."""
RUNTIMES = ("libgomp", "libomp", "libiomp5")


def rest() -> None:
    """End the idle threads of the calling thread's team; nothing happens where the OpenMP runtime isn't found."""
    pause = _pause()
    if pause is not None:
        pause(OMP_PAUSE_SOFT)


@cache
def _pause() -> Callable[[int], int] | None:
    """OpenMP's own function, of the very library that PyTorch has loaded."""
    maps = Path("/proc/self/maps")
    if not sys.platform.startswith("linux") or not maps.exists():
        return None
    for line in maps.read_text().splitlines():
        path = line.split(maxsplit=5)[5:]
        if path and Path(path[0]).name.startswith(RUNTIMES):
            function = getattr(ctypes.CDLL(path[0]), "omp_pause_resource_all", None)
            if function is not None:
                found: Callable[[int], int] = function
                return found
    return None
