"""How long something took, or has been there, as people read it."""

import math

_UNITS = ((1, "s", 99.5), (60, "min", 99.5), (3_600, "h", 47.5), (86_400, "d", math.inf))
"""Seconds in each, its name, and from how many on the next one is taken."""


def duration(seconds: float) -> str:
    """Two digits: `0.98 s`, `45 s`, `3.4 min`, `12 h`, `3 d`; where a clock was set back, `0 s`."""
    size, unit, _ = next(each for each in _UNITS if seconds / each[0] < each[2])
    count = max(0.0, seconds) / size
    return f"{round(count, 2):.2g} {unit}" if count < 9.5 else f"{count:.0f} {unit}"
