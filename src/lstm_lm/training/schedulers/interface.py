"""What a learning-rate schedule is: the factor that multiplies `optimizer.lr`, as a function of the optimizer step."""

import math
from abc import ABC, abstractmethod
from typing import Annotated, ClassVar

from pydantic import Field

from lstm_lm.options import Options

Factor = Annotated[float, Field(ge=0, le=1)]
Steps = Annotated[int, Field(ge=0)]


class Scheduler(Options, ABC):
    """Its fields are the keys of the `scheduler` section. Its module holds the class as the constant `SCHEDULER`."""

    name: str

    needs_total_steps: ClassVar[bool] = True
    """Whether it goes by how many steps training takes."""

    @abstractmethod
    def factor(self, step: int, total_steps: int) -> float:
        """Of optimizer step `step` (from 0 on), from 0 to 1; `total_steps`: how many there are to be (from 1 on).

        Defined for every step, so that a run that is resumed with a new limit follows the new schedule instead of
        running off the end of the old one.
        """


def cosine(begin: float, end: float, progress: float) -> float:
    """From `begin` at `progress` 0 or less to `end` at 1 or more, along half a cosine."""
    return end + (begin - end) * (1 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2
