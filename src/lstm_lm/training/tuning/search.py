"""Which sizes to time for a budget, and which of them to take.

The smallest size is timed first, then the largest that the time for measuring has room for; then, again and again, the
one that the rule would take by what is known by then, until that has been timed itself. What is to be taken is timed
once more, for longer: the length of the run goes by its speed, and the machine may do other things at times.
"""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from lstm_lm.errors import RunError, UserError
from lstm_lm.training.tuning import rule
from lstm_lm.training.tuning.budget_options import typed_seconds
from lstm_lm.training.tuning.candidates import TrialFailed
from lstm_lm.training.tuning.schedule import FEWEST_STEPS, Costs, Schedule, affordable, least_budget
from lstm_lm.training.tuning.sizes import Size
from lstm_lm.training.tuning.step_times import StepTimes

STEPS_TO_TIME = 10
"""Steps that timing a size takes at least, about."""
LOOK, LONGEST_LOOK = 0.08, 1.5
"""How long a size is timed: as a share of the time for measuring, and at most, in seconds."""
CONFIRM, LONGEST_CONFIRM = 0.5, 8.0
"""The same of the one that is to be taken, of the time that is left by then."""
SHARE_OF_THE_LARGEST = 0.5
"""Of the time for measuring that is left, that the largest size may be thought to take."""


class Timing(NamedTuple):
    """What was measured of a size."""

    step: float
    """Seconds of an optimizer step."""
    costs: Costs


@dataclass(frozen=True)
class Prospect:
    """What becomes of a size in the time there is."""

    size: Size
    step: float
    """Seconds of an optimizer step, measured or by the others' speed."""
    measured: bool
    costs: Costs
    schedule: Schedule
    settings: rule.Settings
    steps: int
    """Optimizer steps that the run takes: all there is time for, or fewer, where the rule wants no more."""


@dataclass(frozen=True)
class Search:
    """A choice among `sizes`, for one text and one budget."""

    sizes: Sequence[Size]
    """Those with the fewest products first."""
    tokens: int
    """N, of the training split."""
    steps_per_pass: float
    """Optimizer steps of one pass over it."""
    dropouts: Sequence[float]
    """To choose from."""
    budget: float
    """Seconds, of the whole process."""
    time: Callable[[Size, float], Timing]
    """Times a size for about so many seconds."""
    gone: Callable[[], float]
    """Seconds of it that are over, or needed for what follows the run."""

    def run(self, seconds: float) -> list[Prospect]:
        """What becomes of each size, the best first, which was timed and takes `FEWEST_STEPS` or more.

        After `seconds` of measuring nothing is timed any more, but for one size at least. A size that cannot be
        trained here, for want of memory say, is left out.

        Raises:
            UserError: there is no time for so many steps; says how much would do.
            RunError: the disk is full, say.
        """
        until, look = self.gone() + seconds, min(LOOK * seconds, LONGEST_LOOK)
        timings: dict[Size, Timing] = {}
        unable: set[Size] = set()
        longest = 0.0  # that timing a size has taken

        def measure(size: Size, seconds: float) -> None:
            nonlocal longest
            began = self.gone()
            try:
                timings[size] = self.time(size, seconds)
            except RunError:
                raise
            except (UserError, TrialFailed, RuntimeError, MemoryError):
                if not timings.keys() - {size}:
                    raise
                unable.add(size)
                timings.pop(size, None)
            longest = max(longest, self.gone() - began)

        measure(self.sizes[0], look)
        self._refuse_too_little(timings)
        largest = self._largest(timings[self.sizes[0]], SHARE_OF_THE_LARGEST * (until - self.gone()) - longest)
        if largest not in timings:
            measure(largest, look)
        confirmed: set[Size] = set()
        while (left := until - self.gone()) > longest / 2:
            best = self.prospects(timings, unable)[0]
            if best.steps < FEWEST_STEPS or best.size in confirmed:
                break
            if best.measured:
                confirmed.add(best.size)
            measure(best.size, min(CONFIRM * left, LONGEST_CONFIRM) if best.measured else look)
        self._refuse_too_little(timings)
        prospects = self.prospects(timings, unable)
        return sorted(prospects, key=lambda each: not (each.measured and each.steps >= FEWEST_STEPS))

    def prospects(self, timings: Mapping[Size, Timing], unable: Set[Size] = frozenset()) -> list[Prospect]:
        """Of each size but those `unable`, by what was measured and by the time that is left; the best first."""
        times, gone = StepTimes({size: timing.step for size, timing in timings.items()}), self.gone()
        found = []
        for size in (each for each in self.sizes if each not in unable):
            nearest = min(timings, key=lambda other: abs(other.products - size.products))
            costs, step = timings[nearest].costs, times[size]
            schedule = affordable(self.budget, gone, step, costs)
            most = schedule.steps / self.steps_per_pass
            settings = rule.best_settings(size.parameters, self.tokens, most, self.dropouts)
            steps = min(schedule.steps, max(FEWEST_STEPS, round(settings.passes * self.steps_per_pass)))
            found.append(Prospect(size, step, size in timings, costs, schedule, settings, steps))
        return sorted(found, key=lambda each: (each.steps < FEWEST_STEPS, each.settings.loss))

    def _largest(self, smallest: Timing, seconds: float) -> Size:
        """That which can be timed in so many seconds, if all its time goes into products."""
        product = smallest.step / self.sizes[0].products
        within = [each for each in self.sizes if each.products * product * STEPS_TO_TIME <= seconds]
        return within[-1] if within else self.sizes[0]

    def _refuse_too_little(self, timings: Mapping[Size, Timing]) -> None:
        gone = self.gone()
        least = min(least_budget(gone, step, costs) for step, costs in timings.values())
        if least > self.budget:
            raise UserError(
                f"budget={self.budget:g}s: start-up, {FEWEST_STEPS} steps and a validation take longer here\n"
                f"the least that would do: budget={typed_seconds(least)}"
            )
