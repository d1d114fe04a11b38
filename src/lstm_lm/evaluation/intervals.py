"""How far a mean over text can be trusted: confidence intervals from blocks of it.

Losses of neighbouring tokens depend on each other, so their standard error says little. The method of batch means
(Schmeiser, "Batch Size Effects in the Analysis of Simulation Output", Operations Research 30, 1982) cuts the text into
few long blocks, whose means hardly depend on each other any more, and takes Student's interval over those.
"""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
FEWEST = 10
"""Blocks that an interval needs; its quantile below is right to four digits from there on."""
SHORTEST = 50
"""Predictions in a block: with fewer, neighbouring blocks share too much context."""


class Interval(NamedTuple):
    """Where the mean lies, with probability CONFIDENCE."""

    low: float
    high: float


def block_count(predictions: int, most: int) -> int:
    """How many blocks to cut a text into: `most`, but none shorter than SHORTEST; at least 1."""
    return max(1, min(most, predictions // SHORTEST))


def ratio_interval(sums: NDArray[np.float64], sizes: NDArray[np.int64]) -> Interval | None:
    """The interval of sum(`sums`) / sum(`sizes`), over independent blocks; None: there are too few.

    Args:
        sums: what was added up in each block, [K].
        sizes: over how many tokens, [K]; blocks of 0 tokens do not count.
    """
    sums, sizes = sums[sizes > 0], sizes[sizes > 0]
    count = len(sums)
    if count < FEWEST:
        return None
    mean = sums.sum() / sizes.sum()
    residuals = sums - mean * sizes  # of blocks of equal size: their means' deviations, times that size
    error = math.sqrt(count / (count - 1) * float(residuals @ residuals)) / float(sizes.sum())
    reach = student_quantile(count - 1) * error
    return Interval(float(mean) - reach, float(mean) + reach)


def neighbours_correlation(means: NDArray[np.float64]) -> float | None:
    """Correlation of each block's mean with the next one's: near 0 where blocks are long enough; None: too few."""
    if len(means) < FEWEST:
        return None
    deviations = means - means.mean()
    variance = float(deviations @ deviations)
    return None if variance == 0 else float(deviations[:-1] @ deviations[1:]) / variance


def student_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """Half the width of Student's two-sided interval in standard errors; `freedom` >= FEWEST - 1.

    The expansion by Fisher and Cornish (Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.5).
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return float(z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms)))
