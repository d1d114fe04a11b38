"""Contenders timed in turns within one process: whatever else the machine does meets all alike.

In every round each contender works once, in an order that moves on from round to round. A turn begins with a pause and,
where calls are short, an untimed call: OpenMP's threads spin for some milliseconds after a contender's last call and
would take a core from the next one.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from figures import spread

from lstm_lm.synchronize import synchronize

TURN_SECONDS = 0.03
"""A turn repeats shorter calls until they take about this long."""
PAUSE_SECONDS = 0.005
FAR_BEHIND = 5.0
ROUNDS_FAR_BEHIND = 3
"""A contender that is `FAR_BEHIND` times slower than the fastest is timed in so many rounds only."""


@dataclass
class Contender:
    """One way to do the work."""

    name: str
    work: Callable[[], object]
    threads: int | None = None
    """Threads inside one operation while it works; None: as many as PyTorch takes by itself."""
    close: Callable[[], None] = lambda: None


@dataclass
class Turns:
    """What the turns took: seconds a call, a list a contender, one figure a round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    first_call: dict[str, float] = field(default_factory=dict)
    """Seconds of the very first call, which compiles where something is compiled."""

    def ms(self) -> dict[str, dict[str, float]]:
        """Milliseconds a call."""
        return {name: spread([value * 1e3 for value in values]) for name, values in self.seconds.items()}

    def median(self, name: str) -> float:
        """Seconds a call."""
        return spread(self.seconds[name], 9)["median"]

    def speed(self, name: str, of: str) -> dict[str, float]:
        """How many times as fast as contender `of` contender `name` is; the ratios are each round's own."""
        return spread([theirs / mine for theirs, mine in zip(self.seconds[of], self.seconds[name], strict=False)])


def take_turns(contenders: Sequence[Contender], device: torch.device, rounds: int) -> Turns:
    """Time all contenders; gives them their threads, and puts PyTorch's number back at the end."""
    usual = torch.get_num_threads()
    turns = Turns()
    repeats: dict[str, int] = {}
    try:
        for contender in contenders:
            torch.set_num_threads(contender.threads or usual)
            turns.first_call[contender.name] = _call(contender, device, 1)
            took = _call(contender, device, 1)
            if took < TURN_SECONDS:  # the second call may still have been slow: allocations, lazy initialisation
                took = min(took, _call(contender, device, 1))
            repeats[contender.name] = max(1, math.ceil(TURN_SECONDS / max(took, 1e-6)))
            turns.seconds[contender.name] = []
        fastest = math.inf
        for number in range(rounds):
            for turn in range(len(contenders)):
                contender = contenders[(number + turn) % len(contenders)]
                values = turns.seconds[contender.name]
                if len(values) >= ROUNDS_FAR_BEHIND and min(values) > FAR_BEHIND * fastest:
                    continue
                torch.set_num_threads(contender.threads or usual)
                time.sleep(PAUSE_SECONDS)
                count = repeats[contender.name]
                if count > 1:
                    contender.work()
                values.append(_call(contender, device, count) / count)
                fastest = min(fastest, values[-1])
    finally:
        torch.set_num_threads(usual)
    return turns


def _call(contender: Contender, device: torch.device, count: int) -> float:
    synchronize(device)
    began = time.perf_counter()
    for _ in range(count):
        contender.work()
    synchronize(device)
    return time.perf_counter() - began
