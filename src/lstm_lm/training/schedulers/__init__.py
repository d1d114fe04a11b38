"""Learning-rate schedules. One module is one option of the group `scheduler=`."""

from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lstm_lm.errors import UserError
from lstm_lm.registry import find
from lstm_lm.training.schedulers.interface import Progress, Scheduler
from lstm_lm.training.trainer_options import why_no_validation

__all__ = [
    "Progress",
    "Scheduler",
    "build_scheduler",
    "reset_base_lrs",
    "scheduler_class",
    "scheduler_options",
    "update_rates",
]


def scheduler_class(name: str) -> type[Scheduler]:
    """The schedule called `name`.

    Raises:
        UserError: there is none; the message lists those there are.
    """
    kind: type[Scheduler] = find(__name__, name, "scheduler").SCHEDULER
    return kind


def scheduler_options(section: Mapping[str, Any], trainer: Mapping[str, Any]) -> Scheduler:
    """Check the `scheduler` section, by itself and against the `trainer` section.

    Raises:
        UserError: no such schedule; a key is unknown or missing, or its value is out of range; it goes by validations,
            and there are none.
    """
    kind = scheduler_class(str(section.get("name")))
    options = kind.parse(section, "scheduler")
    if kind.needs_validation and (why := why_no_validation(trainer)):
        raise UserError(
            f"scheduler={options.name} goes by what validations in training find, and {why} leaves none\n"
            "use another scheduler=, or let it validate"
        )
    return options


def build_scheduler(
    optimizer: Optimizer,
    scheduler: Scheduler,
    total_steps: int | None,
    progress: Callable[[], Progress] = Progress,
) -> LambdaLR:
    """A step-wise schedule over optimizer steps.

    Args:
        optimizer: whose groups' rates are scaled.
        scheduler: its configuration.
        total_steps: that it spans; None: unknown, for one that does not go by them.
        progress: gives what is remembered of validations, as it is now; without it there have been none.
    """
    span = 1 if total_steps is None else total_steps
    factor: Callable[[int], float] = lambda step: (  # noqa: E731
        scheduler.factor(step, span) * scheduler.reduction(progress())
    )
    return LambdaLR(optimizer, factor)


def update_rates(scheduler: LambdaLR) -> None:
    """Give each group the rate that the schedule says now, between two of its steps: a validation may change it."""
    for group, rate, factor in zip(
        scheduler.optimizer.param_groups, scheduler.base_lrs, scheduler.lr_lambdas, strict=True
    ):
        group["lr"] = rate * factor(scheduler.last_epoch)
    scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]


def reset_base_lrs(scheduler: LambdaLR) -> None:
    """Have a schedule that continues a saved one scale the rate that its optimizer was made with, not the saved one."""
    rates = [group["initial_lr"] for group in scheduler.optimizer.param_groups]
    if scheduler.base_lrs != rates:
        scheduler.base_lrs = rates
        update_rates(scheduler)
