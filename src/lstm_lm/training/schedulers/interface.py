"""What a learning-rate schedule is: the factor that multiplies `optimizer.lr`, by optimizer steps and validations."""

import math
from abc import ABC, abstractmethod
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from lstm_lm.options import Options

Factor = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=0)]
Decay = Annotated[float, Field(gt=0, lt=1)]
"""What a rate is multiplied by, again and again."""


class Progress(NamedTuple):
    """What a schedule that goes by validations remembers of them; a checkpoint holds it."""

    best: float | None = None
    """The loss that the next one is to be better than, nats per token; None: there is none yet."""
    waited: int = 0
    """Validations since the last that was better, or that has reduced the rate."""
    reductions: int = 0
    """How often the rate has been reduced."""

    def of_other_tokens(self) -> "Progress":
        """The same before validations of other tokens, with which no loss so far compares."""
        return self._replace(best=None, waited=0)


class Scheduler(Options, ABC):
    """Its fields are the keys of the `scheduler` section. Its module holds the class as the constant `SCHEDULER`."""

    name: str

    needs_total_steps: ClassVar[bool] = True
    """Whether it goes by how many steps training takes."""
    needs_validation: ClassVar[bool] = False
    """Whether it goes by what validations find: then `after_validation` is asked, and `reduction` counts."""

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """Of optimizer step `step` (from 0 on), from 0 to 1; `total_steps`: how many there are to be (from 1 on).

        Defined for every step, so that a run that is resumed with a new limit follows the new schedule instead of
        running off the end of the old one.
        """

    def reduction(self, progress: Progress) -> float:  # noqa: ARG002
        """A further factor, from 0 to 1, by what validations have found."""
        return 1.0

    def after_validation(self, progress: Progress, loss: float) -> Progress:  # noqa: ARG002
        """What to remember after a validation in training has found `loss`, a finite number of nats per token."""
        return progress


def warm_up(step: int, steps: int) -> float:
    """A line that reaches 1 at step `steps`, and stays there."""
    return min(1.0, (step + 1) / (steps + 1))


def after(step: int, warmup_steps: int, total_steps: int) -> float:
    """How far step `step` is from the end of the warm-up (0 or less) to the last step (1 or more)."""
    return (step - warmup_steps) / max(1, total_steps - 1 - warmup_steps)


def cosine(begin: float, end: float, progress: float) -> float:
    """From `begin` at `progress` 0 or less to `end` at 1 or more, along half a cosine."""
    return end + (begin - end) * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
