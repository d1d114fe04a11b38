"""In which order rows run, and how long the rest will take."""

import random
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from lstm_lm.sweeps.rows import Row


class Turn(NamedTuple):
    """One run of a row."""

    row: Row
    repetition: int
    """Counted from 1."""


def interleaved(rows: Sequence[Row], repetitions: int, seed: int) -> list[Turn]:
    """All turns: every row once, then every row again, each time in another order.

    What else the machine does meanwhile, and how warm it is, so meets all contenders alike, and those of one
    repetition run close to each other: they are compared with each other.
    """
    turns: list[Turn] = []
    for repetition in range(1, repetitions + 1):
        order = list(rows)
        random.Random(f"{seed}:{repetition}").shuffle(order)
        turns += [Turn(row, repetition) for row in order]
    return turns


def remaining_seconds(rest: Iterable[Turn], taken: Mapping[str, Sequence[float]]) -> float | None:
    """An estimate for the turns in `rest`; None before the first has ended.

    Args:
        rest: those still to run.
        taken: by a row's key, the seconds that each of its turns took.
    """
    known = {key: statistics.median(seconds) for key, seconds in taken.items() if seconds}
    if not known:
        return None
    typical = statistics.mean(known.values())
    return sum(known.get(turn.row.key, typical) for turn in rest)
