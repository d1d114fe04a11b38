"""Learning-rate schedules. One module is one option of the group `scheduler=`."""

from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lstm_lm.registry import find
from lstm_lm.training.schedulers.interface import Scheduler

__all__ = ["Scheduler", "build_scheduler", "reset_base_lrs", "scheduler_options"]


def scheduler_options(section: Mapping[str, Any]) -> Scheduler:
    """Check the `scheduler` section.

    Raises:
        UserError: no such schedule; a key is unknown or missing, or its value is out of range.
    """
    kind: type[Scheduler] = find(__name__, str(section.get("name")), "scheduler").SCHEDULER
    return kind.parse(section, "scheduler")


def build_scheduler(optimizer: Optimizer, scheduler: Scheduler, total_steps: int | None) -> LambdaLR:
    """A step-wise schedule over `total_steps` optimizer steps; None: unknown, for one that does not go by them."""
    span = 1 if total_steps is None else total_steps
    factor: Callable[[int], float] = lambda step: scheduler.factor(step, span)  # noqa: E731
    return LambdaLR(optimizer, factor)


def reset_base_lrs(scheduler: LambdaLR) -> None:
    """Have a schedule that continues a saved one scale the rate that its optimizer was made with, not the saved one."""
    rates = [group["initial_lr"] for group in scheduler.optimizer.param_groups]
    if scheduler.base_lrs != rates:
        scheduler.base_lrs = rates
        for group, rate, factor in zip(scheduler.optimizer.param_groups, rates, scheduler.lr_lambdas, strict=True):
            group["lr"] = rate * factor(scheduler.last_epoch)
