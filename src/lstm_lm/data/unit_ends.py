"""Where the units of a text end, in its tokens: behind the token with which a separator is complete."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lstm_lm.tokenizers import Tokenizer

_AT_ONCE = 1 << 20
"""Tokens that are spelled at once."""


def unit_ends(tokens: NDArray[Any], tokenizer: Tokenizer, separator: str) -> NDArray[np.int64]:
    """One past the last token of each unit of `tokens` (ids, [N]); what follows the last separator is a unit, too."""
    spelled = [tokenizer.token_bytes(token) for token in range(tokenizer.vocabulary_size)]
    wanted = separator.encode()
    stops = _of_a_byte(tokens, spelled, wanted) if len(wanted) == 1 else _of_several(tokens, spelled, wanted)
    return np.append(stops, len(tokens)) if len(tokens) and (not len(stops) or stops[-1] != len(tokens)) else stops


def _of_a_byte(tokens: NDArray[Any], spelled: list[bytes], wanted: bytes) -> NDArray[np.int64]:
    ends = np.array([wanted in token for token in spelled])
    return np.flatnonzero(ends[tokens]) + 1


def _of_several(tokens: NDArray[Any], spelled: list[bytes], wanted: bytes) -> NDArray[np.int64]:
    """By the bytes that the tokens stand for; no two separators share a byte."""
    sizes = np.array([len(token) for token in spelled], np.int64)
    found: list[int] = []
    held, position = b"", 0  # the end of what has been looked through, which a separator may begin in, and its place
    ends = np.cumsum(sizes[tokens])  # of each token, in bytes
    for first in range(0, len(tokens), _AT_ONCE):
        held += b"".join(map(spelled.__getitem__, tokens[first : first + _AT_ONCE].tolist()))
        start = 0
        while (at := held.find(wanted, start)) >= 0:
            start = at + len(wanted)
            found.append(position + start)
        keep = max(start, len(held) - len(wanted) + 1)
        held, position = held[keep:], position + keep
    return np.unique(np.searchsorted(ends, np.array(found, np.int64)) + 1).astype(np.int64)
