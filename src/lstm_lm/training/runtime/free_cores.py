"""Threads where others compute, too: as many as there are cores that nobody else keeps busy.

The threads of a recurrent layer wait for each other at every time step. One of them that must share its core holds up
all the others, each time until the kernel has let it run: two threads beside one busy process of the lowest priority
were 190 times slower here than one thread (docs/decisions/0023-busy-cores.md). So a thread too few costs little, and a
thread too many nearly everything.
"""

import dataclasses
import math

import torch

from lstm_lm import limits
from lstm_lm.core_watch import CoreWatch
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import Team


def with_free_cores(plan: Plan, team: Team, free: float | None = None) -> Plan:
    """`plan` with `runtime.threads` set where it is open and others keep cores busy; or as it was trained before.

    Several processes that train together share the cores in their own way. `free`: as for `free_threads`.
    """
    config = plan.config
    if config.runtime.threads is not None or team.size > 1:
        return plan
    if config.trainer.get("deterministic") is True:  # other threads, other roundings
        return plan
    if plan.checkpoint is not None:  # a resumed run keeps its number
        return _with_threads(plan, min(int(plan.checkpoint.section["resolved"]["threads"]), _usable()), None)
    threads, warning = free_threads(free)
    return plan if warning is None else _with_threads(plan, threads, warning)


def free_threads(free: float | None = None) -> tuple[int, str | None]:
    """As many as PyTorch would take, but no more than there are free cores; and why, where that is fewer.

    `free`: how many those are, where somebody has looked (`CoreWatch`); None: this takes a moment to look.
    """
    usable = _usable()
    if usable == 1:
        return usable, None
    cores = CoreWatch().free() if free is None else free
    threads = max(1, min(usable, math.floor(cores + 0.5)))
    if threads == usable:
        return usable, None
    warning = (
        f"other processes keep this machine busy, so this one takes {threads} of {usable} cores; "
        f"all of them: runtime.threads={usable}"
    )
    return threads, warning


def _usable() -> int:
    return min(torch.get_num_threads(), limits.usable_cores())


def _with_threads(plan: Plan, threads: int, warning: str | None) -> Plan:
    runtime = plan.config.runtime.model_copy(update={"threads": threads})
    return plan.with_config(dataclasses.replace(plan.config, runtime=runtime, threads_warning=warning))
