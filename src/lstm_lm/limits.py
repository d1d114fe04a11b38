"""What of this machine the process may use: cores and memory, less where a container or a scheduler allows less.

Threads beyond the cores that a process really gets are worse than none: a recurrent network's threads wait for each
other at every time step. PyTorch looks at the machine alone.
"""

import importlib
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Physical cores for this process's threads, 1 or more; a quota of 2.5 cores counts as 2."""
    usable = os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    limits = [usable, psutil.cpu_count(logical=False) or usable, *map(int, _cpu_quotas())]
    return max(1, min(limits))


def usable_memory() -> int:
    """Bytes of memory that this process and its like have together."""
    limits = [int(text) for text in (*_read("memory.max"), *_read("memory.limit_in_bytes", "memory")) if text.isdigit()]
    return min([psutil.virtual_memory().total, *limits])


def address_space_left() -> float:
    """Bytes that this process may still map (`ulimit -v`); infinite where nothing limits it."""
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:  # Windows
        return math.inf
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    return math.inf if soft == resource.RLIM_INFINITY else max(0, soft - psutil.Process().memory_info().vms)


def _cpu_quotas() -> Iterator[float]:
    """Cores' worth of time that Linux's control groups grant, where they limit it."""
    for text in _read("cpu.max"):
        quota, period = text.split()
        if quota != "max":
            yield int(quota) / int(period)
    quotas, periods = _read("cpu.cfs_quota_us", "cpu"), _read("cpu.cfs_period_us", "cpu")
    for quota, period in zip(quotas, periods, strict=False):
        if int(quota) > 0:  # -1: no limit
            yield int(quota) / int(period)


def _read(name: str, controller: str = "") -> Iterator[str]:
    """What the files `name` of the process's own group and of those around it hold (cgroup v1: of one controller)."""
    try:
        groups = [line.split(":", 2) for line in os.fsdecode(_OWN.read_bytes()).splitlines()]
    except OSError:  # not Linux
        return
    for _, controllers, path in groups:
        if controllers.split(",")[0] != controller:
            continue
        group = Path(path)
        for around in (group, *group.parents):
            try:
                yield (_CGROUPS / controller / around.relative_to("/") / name).read_text(encoding="utf-8").strip()
            except (OSError, ValueError):  # a container sees its own group as the root
                continue


def gib(count: float) -> str:
    """A number of bytes, as a person reads it."""
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
