"""From a budget to the length of a run: optimizer steps, validations, and a limit of time that should never be met."""

import math
from dataclasses import dataclass, replace
from typing import Self

AIM = 0.91
"""The share of the budget that a run is planned for: one that turns out a tenth slower still ends in time."""
LATEST = 1.08
"""That at which training stops, where the machine has become slower: the end of the run still follows."""
MOST_VALIDATIONS = 20
"""While training; the last one follows it."""
SHARE_OF_VALIDATIONS = 0.08
"""Of the time for training, that validations, samples and their checkpoints may take."""
FEWEST_STEPS = 10


@dataclass(frozen=True)
class Costs:
    """Seconds of what a run does besides its optimizer steps."""

    begin: float
    """From now to the first step."""
    validation: float
    """One validation while training, with its sample and checkpoint; 0: these are part of `each_step`."""
    end: float
    """From the last step to the end of the run."""
    each_step: float = 0.0
    """For each step, of what comes every so many of them: checkpoints, and samples where that is asked for."""

    def with_validations_every(self, steps: float) -> Self:
        """The same where a person has set how often it validates."""
        return replace(self, validation=0.0, each_step=self.each_step + self.validation / steps)


@dataclass(frozen=True)
class Schedule:
    """The length of a run."""

    steps: int
    """Optimizer steps that the budget has room for."""
    validations: int
    """While training."""


def affordable(budget: float, gone: float, step: float, costs: Costs) -> Schedule:
    """What fits into `budget` seconds, of which so many are `gone`, at `step` seconds a step."""
    room = budget * AIM - gone - costs.begin - costs.end
    reserved = min(MOST_VALIDATIONS * costs.validation, SHARE_OF_VALIDATIONS * max(0.0, room))
    steps = max(0, int((room - reserved) / (step + costs.each_step)))
    return Schedule(steps, int(reserved / costs.validation) if costs.validation else 0)


def least_budget(gone: float, step: float, costs: Costs) -> float:
    """Seconds of the smallest budget with room for `FEWEST_STEPS`."""
    steps = FEWEST_STEPS * (step + costs.each_step)
    return (gone + costs.begin + costs.end + steps / (1 - SHARE_OF_VALIDATIONS)) / AIM


def latest(budget: float, gone: float, costs: Costs) -> int:
    """Whole seconds of training after which a run stops, whatever it has been slowed down by."""
    return max(1, math.floor(budget * LATEST - gone - costs.begin - costs.end))


def as_max_time(seconds: int) -> str:
    """`DD:HH:MM:SS`, as `trainer.max_time` takes it."""
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    return f"{days:02}:{hours % 24:02}:{minutes % 60:02}:{seconds % 60:02}"
