"""Threads where others compute, too: as many as there are cores that nobody else keeps busy.

The threads of a recurrent layer wait for each other at every time step. One of them that must share its core holds up
all the others, each time until the kernel has let it run: two threads beside one busy process of the lowest priority
were 190 times slower here than one thread (docs/decisions/0023-busy-cores.md). So a thread too few costs little, and a
thread too many nearly everything.
"""

import dataclasses
import math
import os
import time

import psutil
import torch

from lstm_lm import limits
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import Team

SECONDS_OF_WATCHING = 0.25
"""While this process itself does nothing."""


def with_free_cores(plan: Plan, team: Team) -> Plan:
    """`plan` with `runtime.threads` set where it is open and others keep cores busy; or as it was trained before.

    Several processes that train together share the cores in their own way.
    """
    config = plan.config
    if config.runtime.threads is not None or team.size > 1:
        return plan
    if config.trainer.get("deterministic") is True:  # other threads, other roundings
        return plan
    if plan.checkpoint is not None:  # a resumed run keeps its number
        return _with_threads(plan, min(int(plan.checkpoint.section["resolved"]["threads"]), _usable()), None)
    threads, warning = free_threads()
    return plan if warning is None else _with_threads(plan, threads, warning)


def free_threads() -> tuple[int, str | None]:
    """As many as PyTorch would take, but no more than there are free cores; and why, where that is fewer."""
    usable = _usable()
    if usable == 1:
        return usable, None
    threads = max(1, min(usable, math.floor(free_cores() + 0.5)))
    if threads == usable:
        return usable, None
    warning = (
        f"other processes keep this machine busy, so this one takes {threads} of {usable} cores; "
        f"all of them: runtime.threads={usable}"
    )
    return threads, warning


def _usable() -> int:
    return min(torch.get_num_threads(), limits.usable_cores())


def free_cores() -> float:
    """How many cores' worth of time nobody uses just now, of those that this process may run on."""
    before = psutil.cpu_times(percpu=True)
    began = time.perf_counter()
    time.sleep(SECONDS_OF_WATCHING)
    after = psutil.cpu_times(percpu=True)
    seconds = time.perf_counter() - began
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(len(after))
    idle = (_idle(after[core]) - _idle(before[core]) for core in own if core < len(after))
    return sum(idle) / seconds


def _idle(times: psutil._ntuples.scputimes) -> float:
    """Seconds, waiting for a disk included: the core was free meanwhile."""
    return float(times.idle + getattr(times, "iowait", 0.0))


def _with_threads(plan: Plan, threads: int, warning: str | None) -> Plan:
    runtime = plan.config.runtime.model_copy(update={"threads": threads})
    return plan.with_config(dataclasses.replace(plan.config, runtime=runtime, threads_warning=warning))
