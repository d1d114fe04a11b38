"""Where one contender overtakes another along a setting that grows."""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from lstm_lm.reports.spread import Ratio

AHEAD, BEHIND = 1, -1


def crossings(ratios: Mapping[float, Ratio]) -> list[float]:
    """Where the ratio passes 1, by straight lines between its medians on logarithmic axes.

    Only between places where it differs from 1 by more than the noise: what lies between them, if anything does, does
    not differ, and the line is drawn through its medians.

    Args:
        ratios: one contender's speed over the other's, by the setting's value, above 0.
    """
    found = []
    for before, after in _turns(ratios):
        between = [x for x in sorted(ratios) if before <= x <= after]
        for left, right in pairwise(between):
            low, high = math.log(ratios[left].median), math.log(ratios[right].median)
            if low * high <= 0 and low != high:
                found.append(math.exp(math.log(left) + (math.log(right) - math.log(left)) * low / (low - high)))
                break
    return found


def told(ratios: Mapping[float, Ratio], one: str, other: str, what: str) -> str | None:
    """A sentence on who is ahead where; None where nothing was compared.

    Args:
        ratios: the speed of `one` over that of `other`, by the value of `what`.
        one: a contender.
        other: another.
        what: the setting: `batch size`.
    """
    if not ratios:
        return None
    places = sorted(ratios)
    ahead, behind = ([x for x in places if _side(ratios[x]) == side] for side in (AHEAD, BEHIND))
    alike = [x for x in places if not _side(ratios[x])]
    parts = []
    if ahead:
        parts.append(f"{one} is faster at {what} {_list(ahead)} ({_range([ratios[x].median for x in ahead])} times)")
    if behind:
        by = _range([1 / ratios[x].median for x in behind])
        parts.append(f"{other} is faster at {what} {_list(behind)} ({by} times)")
    if alike:
        parts.append(f"no difference was measured at {what} {_list(alike)}")
    cross = [f"{x:,.0f}" for x in crossings(ratios)]
    lines = f" The lines cross near {what} {' and '.join(cross)}." if cross else ""
    return f"{one} against {other}: {'; '.join(parts)}.{lines}"


def _side(ratio: Ratio) -> int:
    """Who is ahead, by more than the noise; 0: nobody."""
    return 0 if not ratio.differs else AHEAD if ratio.median > 1 else BEHIND


def _turns(ratios: Mapping[float, Ratio]) -> Iterator[tuple[float, float]]:
    """Neighbouring places, of those outside the noise, where another is ahead."""
    clear = [x for x in sorted(ratios) if _side(ratios[x])]
    for before, after in pairwise(clear):
        if _side(ratios[before]) != _side(ratios[after]):
            yield before, after


def _list(values: Sequence[float]) -> str:
    return ", ".join(f"{value:,.0f}" for value in values)


def _range(values: Sequence[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"
