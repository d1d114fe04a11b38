"""How much text each token stands for: what makes losses of different tokenizers comparable."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstm_lm.tokenizers import Tokenizer

_CONTINUES = 0xC0, 0x80
"""Mask and value of a byte that continues a character in UTF-8."""


class Counts(NamedTuple):
    """What tokens stand for; it lets losses of different tokenizers be compared."""

    tokens: int
    characters: int
    bytes: int


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

    def counts(self, times: NDArray[np.int64]) -> Counts:
        """What predicted tokens stand for, each token `times` often, [V]."""
        return Counts(int(times.sum()), int(times @ self._characters), int(times @ self._bytes))

    def of_each(self) -> Tensor:
        """The `Counts` of each token, int64[V, 3]."""
        return torch.from_numpy(np.stack([np.ones_like(self._bytes), self._characters, self._bytes], axis=1))
