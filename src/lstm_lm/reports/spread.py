"""What repetitions say: a median with its spread, and a ratio with the interval in which it lies."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95

ByRepetition = Mapping[int, float]
"""A figure of one row, by the number of the repetition."""


@dataclass(frozen=True)
class Measured:
    """A figure over repetitions."""

    median: float
    low: float
    high: float
    """The extremes."""
    count: int


@dataclass(frozen=True)
class Ratio:
    """One row's figure over another's, each computed within one repetition."""

    median: float
    low: float | None
    high: float | None
    """The interval that holds the true ratio with CONFIDENCE; None: one repetition, which says nothing of noise."""
    count: int

    @property
    def differs(self) -> bool:
        """Whether the two rows differ by more than the noise."""
        return self.low is not None and self.high is not None and not self.low <= 1.0 <= self.high


def measured(values: ByRepetition) -> Measured | None:
    """Median and extremes; None where there is no value."""
    found = list(values.values())
    return Measured(statistics.median(found), min(found), max(found), len(found)) if found else None


def paired_ratio(values: ByRepetition, baseline: ByRepetition) -> Ratio | None:
    """`values` over `baseline` by repetition; None where they share no repetition in which both are above 0.

    The rows of one repetition ran close to each other in time, so what slows the machine for minutes cancels out. The
    interval is Student's, of the mean of the logarithms.
    """
    shared = sorted(key for key in {*values} & {*baseline} if values[key] > 0 and baseline[key] > 0)
    logarithms = [math.log(values[key] / baseline[key]) for key in shared]
    if not logarithms:
        return None
    median = math.exp(statistics.median(logarithms))
    low, high = _interval(logarithms)
    return Ratio(median, low, high, len(logarithms))


def _interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    if len(values) < 2:
        return None, None
    half = student_quantile(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    center = statistics.fmean(values)
    return math.exp(center - half), math.exp(center + half)


def student_quantile(freedom: int) -> float:
    """The t for which Student's distribution with `freedom` degrees has CONFIDENCE of its mass between -t and t."""
    low, high = 0.0, 1000.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _mass_within(middle, freedom) < CONFIDENCE else (low, middle)
    return high


def _mass_within(t: float, freedom: int) -> float:
    """P(-t <= T <= t), by the finite series for whole degrees (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2 == 1
    term = cosine if odd else 1.0
    total = term if freedom > 1 else 0.0
    for power in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * (power - 1) / power
        total += term
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
