"""What tests of tuning share: options, and trials whose times are planted."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from quick_compose import compose

from lstm_lm.errors import UserError
from lstm_lm.training.tuning.candidates import Candidate
from lstm_lm.training.tuning.options import SpeedOptions


def speed_options(**changes: Any) -> SpeedOptions:
    """Those of conf/tune/speed.yaml, with `changes`."""
    return SpeedOptions.parse({**compose("tune=speed")["tune"], **changes}, "tune")


@dataclass
class Track:
    """A clock that moves only when something is timed, and trials that take as long as it says."""

    seconds: Mapping[Candidate, float | list[float] | Exception]
    """Of a step: always the same, one after the other (the last one stays), or how it fails."""
    compiling: Callable[[Candidate], float] = lambda candidate: 0.0
    now: float = 0.0
    open: list[Candidate] = field(default_factory=list)
    most_open: int = 0
    steps: dict[Candidate, int] = field(default_factory=dict)
    order: list[Candidate] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def start(self, candidate: Candidate) -> "PlantedTrial":
        planted = self.seconds[candidate]
        if isinstance(planted, UserError):
            raise planted
        self.open.append(candidate)
        self.most_open = max(self.most_open, len(self.open))
        self.now += self.compiling(candidate)
        return PlantedTrial(self, candidate, self.compiling(candidate))


@dataclass
class PlantedTrial:
    track: Track
    candidate: Candidate
    compile_seconds: float

    def time(self, steps: int) -> float:
        track, planted = self.track, self.track.seconds[self.candidate]
        if isinstance(planted, Exception):
            raise planted
        seconds = planted
        if isinstance(planted, list):
            seconds = planted[min(track.order.count(self.candidate), len(planted) - 1)]
        track.steps[self.candidate] = track.steps.get(self.candidate, 0) + steps
        track.order.append(self.candidate)
        track.now += steps * seconds
        return seconds

    def close(self) -> None:
        self.track.open.remove(self.candidate)


def candidate(name: str, compiled: str = "none", threads: int = 1, precision: str = "32-true") -> Candidate:
    return Candidate(precision, name, compiled, threads)
