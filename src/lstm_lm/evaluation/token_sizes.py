"""How much text each token stands for: what makes losses of different tokenizers comparable."""

import numpy as np
from numpy.typing import NDArray

from lstm_lm.evaluation.scores import Counts
from lstm_lm.tokenizers import Tokenizer

_CONTINUES = 0xC0, 0x80
"""Mask and value of a byte that goes on with a character in UTF-8."""


class TokenSizes:
    """Bytes, and characters that begin, in each token of a vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokens = [tokenizer.token_bytes(token) for token in range(tokenizer.vocabulary_size)]
        mask, value = _CONTINUES
        self._bytes = np.array([len(token) for token in tokens], dtype=np.int64)
        self._characters = np.array([sum(byte & mask != value for byte in token) for token in tokens], dtype=np.int64)

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return len(self._bytes)

    def counts(self, times: NDArray[np.int64], replaced: int) -> Counts:
        """What predicted tokens stand for.

        Args:
            times: how often each token is predicted, [V].
            replaced: pieces of their text that the tokenizer does not know.
        """
        return Counts(int(times.sum()), int(times @ self._characters), int(times @ self._bytes), replaced)
