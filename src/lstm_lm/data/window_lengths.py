"""How long each window of an epoch is.

Random lengths after Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language Models", 2017, section 4.1:
where windows are always cut at the same distances, some tokens never pass their gradient further back than a few steps.
Around T with probability 0.95, else around T / 2, normal with a standard deviation of 5 tokens. There an epoch has as
many windows as come of that; here, where schedules count steps, it has as many as with fixed lengths: the lengths that
were drawn are scaled so that they sum to the stream.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

WindowLengths = Literal["fixed", "random"]

SHARE_OF_HALVES = 0.05
DEVIATION = 5.0
"""Tokens."""
LONGER = 20
"""Tokens that a random window may be longer than T: four deviations. What a step needs of memory is bounded by it."""


def longest(kind: WindowLengths, stream_length: int, seq_len: int) -> int:
    """Tokens that no window has more of."""
    return min(stream_length, seq_len + (LONGER if kind == "random" else 0))


def bounds(kind: WindowLengths, stream_length: int, seq_len: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    """Where the windows of an epoch begin, and where the last one ends: int64[windows + 1], 0 to `stream_length`.

    There are ceil(`stream_length` / `seq_len`) windows, none empty, whatever `kind`. Random ones depend on nothing else
    but `seed`, with every version of numpy.
    """
    count = -(-stream_length // seq_len)
    if kind == "fixed":
        return np.minimum(np.arange(count + 1, dtype=np.int64) * seq_len, stream_length)
    lengths = _random(count, stream_length, seq_len, seed)
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)])


def _random(count: int, stream_length: int, seq_len: int, seed: tuple[int, ...]) -> NDArray[np.int64]:
    """`count` lengths, each at least 1 and at most the longest, that sum to `stream_length`."""
    # the old generator's draws are promised never to change; the new one's are not
    chance = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
    half = chance.random_sample(count) < SHARE_OF_HALVES
    drawn = chance.normal(np.where(half, seq_len / 2, seq_len), DEVIATION)
    beyond_one = np.maximum(drawn - 1, 1e-6).cumsum()
    shared = np.floor((stream_length - count) * (beyond_one / beyond_one[-1])).astype(np.int64)
    lengths: NDArray[np.int64] = 1 + np.diff(shared, prepend=0)
    most = longest("random", stream_length, seq_len)
    excess = int(np.maximum(lengths - most, 0).sum())
    lengths = np.minimum(lengths, most)
    room = most - lengths
    before = np.cumsum(room) - room
    lengths += np.clip(excess - before, 0, room)  # the first windows with room take it
    return lengths
