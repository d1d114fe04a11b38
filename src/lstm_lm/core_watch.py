"""How many cores nobody else keeps busy, watched while this process starts."""

import os
import time

import psutil

SECONDS_OF_WATCHING = 0.25
"""At least."""


class CoreWatch:
    """Watches from now on: the cores' idle time, and this process's own, which it can have again."""

    def __init__(self) -> None:
        self._began, self._idle, self._own = time.perf_counter(), _idle_seconds(), _own_seconds()

    def free(self) -> float:
        """How many cores' worth of time others have left since then, of those that this process may run on.

        Meant for a process that has used one thread meanwhile, or none: with more it takes time from others, too.
        """
        time.sleep(max(0.0, self._began + SECONDS_OF_WATCHING - time.perf_counter()))
        left = _own_seconds() - self._own
        for core, idle in _idle_seconds().items():
            left += idle - self._idle.get(core, idle)
        return left / (time.perf_counter() - self._began)


def _idle_seconds() -> dict[int, float]:
    """Of each core that this process may run on; waiting for a disk included: the core was free meanwhile."""
    times = psutil.cpu_times(percpu=True)
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(times))
    return {core: times[core].idle + getattr(times[core], "iowait", 0.0) for core in own if core < len(times)}


def _own_seconds() -> float:
    """Of this process and of those that it has started, and that have ended."""
    return sum(os.times()[:4])
