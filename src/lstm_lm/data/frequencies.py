"""How often each token comes, and what a guess from that alone would cost."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

PIECE = 1 << 22
"""Tokens that are counted at once: a text may be longer than memory."""


def entropy(tokens: NDArray[Any]) -> float | None:
    """The order-0 entropy of `tokens`, [N], in nats per token; None where there are none.

    No guess that goes by frequencies alone, not even by those of this very text, has a lower loss on it.
    """
    counts = np.zeros(0, np.int64)
    for begin in range(0, len(tokens), PIECE):
        found = np.bincount(tokens[begin : begin + PIECE])
        longer, shorter = (found, counts) if len(found) > len(counts) else (counts, found)
        longer[: len(shorter)] += shorter
        counts = longer
    if not counts.any():
        return None
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
