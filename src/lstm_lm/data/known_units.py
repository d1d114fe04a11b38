"""Which units a model was trained on, in 8 bytes each: enough to tell whether one that it writes is a copy."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstm_lm.data.units import digest_of
from lstm_lm.tokenizers import Tokenizer

MOST_KNOWN = 1 << 20
"""Different units; every checkpoint holds their digests: 8 MiB at most."""
_AT_ONCE = 1 << 20
"""Tokens that are spelled at once."""


def digests_of(tokens: NDArray[Any], tokenizer: Tokenizer, separator: str) -> Tensor | None:
    """Digests of the different units of `tokens` (ids, [N]), as their tokens spell them: int64[n], ascending.

    None: there are more than MOST_KNOWN.
    """
    spelled = [tokenizer.token_bytes(token) for token in range(tokenizer.vocabulary_size)]
    wanted, rest = separator.encode(), b""
    found: set[int] = set()
    for first in range(0, len(tokens), _AT_ONCE):
        rest += b"".join(map(spelled.__getitem__, tokens[first : first + _AT_ONCE].tolist()))
        *whole, rest = rest.split(wanted)
        found.update(digest_of(unit.decode("utf-8", "replace")) for unit in whole if unit.strip())
        if len(found) > MOST_KNOWN:
            return None
    if rest.strip():
        found.add(digest_of(rest.decode("utf-8", "replace")))
    return torch.from_numpy(np.sort(np.array(list(found), np.uint64).view(np.int64)))


class KnownUnits:
    """The units that a run was trained on."""

    def __init__(self, digests: Any) -> None:
        """Take what `digests_of` gave, from a checkpoint.

        Raises:
            ValueError: it is nothing of the kind.
        """
        if not isinstance(digests, Tensor) or digests.dtype != torch.int64 or digests.ndim != 1:
            raise ValueError("no digests of units")
        self._digests = frozenset(digests.tolist())

    def __contains__(self, unit: str) -> bool:
        """Whether `unit`, given without its separator, is one of them; blanks around it do not count."""
        return int(np.uint64(digest_of(unit)).view(np.int64)) in self._digests
