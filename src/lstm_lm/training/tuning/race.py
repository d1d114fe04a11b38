"""Timing several ways to run a model against each other, fairly and without wasting time on the slow ones.

All candidates are looked at once; what is clearly slower than the fastest leaves, and at most a few stay. Those are
timed in further rounds, one after the other in each round, so that whatever else the machine does meets them all alike;
the median of a candidate's timings counts. (Successive halving, Jamieson and Talwalkar 2016, with few rungs.)
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Literal, Protocol

from lstm_lm.errors import RunError, UserError
from lstm_lm.training.tuning.candidates import Candidate, first_line
from lstm_lm.training.tuning.options import SpeedOptions

LOOKS = 2
"""Timings before a candidate may be dropped: the shorter one counts, so that one hiccup decides nothing."""
HOPELESS = 3.0
"""A first step this many times slower than the fastest candidate's is enough: no second one is waited for."""


class Trial(Protocol):
    """A candidate that is ready to be timed."""

    compile_seconds: float
    """Wall time that torch.compile took."""

    def time(self, steps: int) -> float:
        """Train that many optimizer steps, fewer where they take long; gives the mean seconds of one."""

    def close(self) -> None:
        """Give back memory and threads."""


Start = Callable[[Candidate], Trial]


@dataclass(eq=False)
class Result:
    """What became of a candidate."""

    candidate: Candidate
    outcome: Literal["measured", "dropped", "unable", "failed", "not tried"] = "not tried"
    note: str = ""
    """Why, where it was not measured to the end."""
    timings: list[float] = field(default_factory=list)
    """Mean seconds of an optimizer step, of each timing."""
    compile_seconds: float = 0.0

    @property
    def seconds(self) -> float | None:
        """Median seconds of an optimizer step; None where none was timed."""
        return median(self.timings) if self.timings else None


class Deadline:
    """When no new measurement may begin: `seconds` from now on."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock, self._end = clock, clock() + seconds

    @property
    def left(self) -> float:
        """Seconds, not below 0."""
        return max(0.0, self._end - self._clock())


class Race:
    """Races of some candidates each, one race after the other."""

    def __init__(self, options: SpeedOptions, start: Start, deadline: Deadline) -> None:
        """`start` makes a candidate ready."""
        self.options, self.deadline, self._start = options, deadline, start
        self._running: dict[Result, Trial] = {}
        self._to_beat = math.inf

    def run(
        self, candidates: Sequence[Candidate], *, finalists: int | None = None, to_beat: float = math.inf
    ) -> list[Result]:
        """Time them; whatever fails is noted and the others continue. The results are in the order of `candidates`.

        Args:
            candidates: what is timed.
            finalists: how many may stay; None: as the options say.
            to_beat: seconds of a step elsewhere that candidates must come near.

        Raises:
            RunError: the disk is full, say.
        """
        self._to_beat, finalists = to_beat, finalists or self.options.finalists
        results = [Result(candidate) for candidate in candidates]
        try:
            for result in results:
                self._look_at(result)
                self._drop_the_slow(finalists)
            for number in range(1, self.options.rounds):
                entrants = list(self._running)
                first = number % max(1, len(entrants))  # nobody always goes first
                for result in [*entrants[first:], *entrants[:first]]:
                    if self.deadline.left:
                        self._time(result)
                self._drop_the_slow(finalists)
        finally:
            for result in list(self._running):
                self._leave(result)
        return results

    def _look_at(self, result: Result) -> None:
        if not self.deadline.left:
            result.note = "no time was left"
            return
        try:
            trial = self._running[result] = self._start(result.candidate)
        except RunError:
            raise
        except Exception as error:  # one that fails must not keep the others from being tried
            result.outcome = "unable" if isinstance(error, UserError) else "failed"
            result.note = first_line(error)
            return
        result.outcome, result.compile_seconds = "measured", trial.compile_seconds
        self._time(result, steps=1)
        hopeless = max(HOPELESS, self.options.drop) * self._fastest
        if result.timings and self.deadline.left and result.timings[0] < hopeless:
            result.timings.clear()  # a single step is no measure
            for _ in range(LOOKS):
                self._time(result)

    def _time(self, result: Result, steps: int | None = None) -> None:
        if result not in self._running:  # it has failed meanwhile
            return
        try:
            result.timings.append(self._running[result].time(steps or self.options.steps))
        except Exception as error:  # it must not keep the others from being timed
            result.outcome, result.note = "failed", first_line(error)
            result.timings.clear()
            self._leave(result)

    def _drop_the_slow(self, finalists: int) -> None:
        """Those clearly behind the fastest, and those beyond the number of finalists, by each one's shortest timing."""
        shortest = sorted(min(result.timings) for result in self._running)
        slowest_kept = min([self.options.drop * self._fastest, *shortest[:finalists][-1:]])
        for result in list(self._running):
            if min(result.timings) > slowest_kept:
                result.outcome, result.note = "dropped", "fell behind"
                self._leave(result)

    @property
    def _fastest(self) -> float:
        """Seconds of a step; infinite before there is one."""
        return min([self._to_beat, *(min(result.timings) for result in self._running if result.timings)])

    def _leave(self, result: Result) -> None:
        self._running.pop(result).close()
