"""Send OpenMP's idle threads to sleep.

After a parallel operation OpenMP's threads spin for milliseconds, in case another follows at once. Each of them keeps a
core from the grid's workers meanwhile, which is longer than a cell takes.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

OMP_PAUSE_SOFT = 1
"""From OpenMP 5.0's omp.h: free what can be had again; the next parallel operation starts new threads."""
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
    lines = os.fsdecode(maps.read_bytes()).splitlines()
    mapped = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) > 5}
    loaded = [path for path in mapped if Path(path).name.startswith(RUNTIMES)]
    # another package may have brought its own: PyTorch's lies with PyTorch, or is the only one
    of_torch = [path for path in loaded if Path(torch.__file__).parent in Path(path).parents]
    for path in of_torch or (loaded if len(loaded) == 1 else []):
        function = getattr(ctypes.CDLL(path), "omp_pause_resource_all", None)
        if function is not None:
            found: Callable[[int], int] = function
            return found
    return None
