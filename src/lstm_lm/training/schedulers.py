"""Learning-rate schedules: the factor that multiplies `optimizer.lr`, as a function of the optimizer step.

Every factor is defined for every step, so a run that is resumed with a new limit follows the new schedule instead of
running off the end of the old one.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lstm_lm.errors import UserError
from lstm_lm.options import Options

Factor = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=0)]


class OneCycleOptions(Options):
    """`scheduler=one_cycle`."""

    name: str
    warmup: Annotated[float, Field(ge=0, lt=1)]
    start: Annotated[float, Field(gt=0, le=1)]
    end: Factor

    def factor(self, step: int, total_steps: int) -> float:
        """Along a cosine from `start` to 1, then along a cosine to `end` (Smith and Topin, 2018)."""
        last = max(1, total_steps - 1)
        peak = self.warmup * last
        if step < peak:
            return _cosine(self.start, 1.0, step / peak)
        return _cosine(1.0, self.end, (step - peak) / max(1.0, last - peak))


class CosineOptions(Options):
    """`scheduler=cosine`."""

    name: str
    warmup_steps: Steps
    end: Factor

    def factor(self, step: int, total_steps: int) -> float:
        """Linear to 1 in `warmup_steps`, then along a cosine to `end`."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        return _cosine(1.0, self.end, (step - self.warmup_steps) / max(1, total_steps - 1 - self.warmup_steps))


class ConstantOptions(Options):
    """`scheduler=constant`."""

    name: str
    warmup_steps: Steps

    def factor(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        """Linear to 1 in `warmup_steps`, then 1."""
        return min(1.0, (step + 1) / (self.warmup_steps + 1))


Scheduler = OneCycleOptions | CosineOptions | ConstantOptions
SCHEDULERS: dict[str, type[Scheduler]] = {
    "one_cycle": OneCycleOptions,
    "cosine": CosineOptions,
    "constant": ConstantOptions,
}


def scheduler_options(section: Mapping[str, Any]) -> Scheduler:
    """Check the `scheduler` section.

    Raises:
        UserError: no such scheduler; a key is unknown or missing, or its value is out of range.
    """
    name = str(section.get("name"))
    if name not in SCHEDULERS:
        raise UserError(f"scheduler={name}: no such scheduler\nchoose one of: {', '.join(SCHEDULERS)}")
    return SCHEDULERS[name].parse(section, "scheduler")


def build_scheduler(optimizer: Optimizer, options: Scheduler, total_steps: int | None) -> LambdaLR:
    """A step-wise schedule over `total_steps` optimizer steps; only a constant one can do without knowing how many."""
    span = 1 if total_steps is None else total_steps
    factor: Callable[[int], float] = lambda step: options.factor(step, span)  # noqa: E731
    return LambdaLR(optimizer, factor)


def _cosine(begin: float, end: float, progress: float) -> float:
    return end + (begin - end) * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
