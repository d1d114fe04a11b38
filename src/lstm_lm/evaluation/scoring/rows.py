"""What is said of a line, a token or a text: the rows of a file, of a table, of `lstm_lm.score`."""

import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lstm_lm.evaluation.scoring.model import ScoredLine
from lstm_lm.evaluation.scoring.options import Unit
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.interface import ROW_END, Ids


class LineRow(NamedTuple):
    """A line, or a row of a table; one without anything to score has 0 tokens."""

    line: int
    """Its number, from 1; blank ones count."""
    tokens: int
    """That were scored."""
    nats: float
    """-ln of the probability of all of them."""
    nats_per_token: float | None
    """How surprising the line is; None: nothing was scored."""
    characters: int
    """That those tokens stand for, the newline too."""
    bits_per_character: float | None
    """None: nothing was scored, or some of it is unknown to the tokenizer, so that this is no code length of it."""
    most_surprising: str | None
    """The least likely token, as text; bytes that are no whole character as `\\xc3`."""
    most_surprising_nats: float | None
    unknown: int
    """Pieces of the line that the tokenizer does not know, left out or replaced."""
    text: str
    """The line as it stands there."""

    @property
    def surprise(self) -> float:
        """What `sort=surprise` goes by."""
        return -1.0 if self.nats_per_token is None else self.nats_per_token


class TokenRow(NamedTuple):
    """A token of a line."""

    line: int
    """The line's number, from 1."""
    token: int
    """Its place among the line's scored tokens, from 1."""
    nats: float
    """-ln of its probability, given those before it."""
    text: str
    """What it stands for; bytes that are no whole character as `\\xc3`."""

    @property
    def surprise(self) -> float:
        """What `sort=surprise` goes by."""
        return self.nats


class TextRow(NamedTuple):
    """A whole text, each value as for a line."""

    tokens: int
    nats: float
    nats_per_token: float | None
    characters: int
    bits_per_character: float | None
    most_surprising: str | None
    most_surprising_nats: float | None
    unknown: int


Row = LineRow | TokenRow | TextRow
Ranked = LineRow | TokenRow
"""Of which there are many, so that they have an order."""
ROWS: dict[Unit, type[Row]] = {"line": LineRow, "token": TokenRow, "text": TextRow}
Loss = dict[Literal["tokens", "nats", "nats_per_token", "characters", "bits_per_character", "unknown"], Any]


class RowMaker:
    """Makes them."""

    def __init__(self, tokenizer: Tokenizer, sizes: TokenSizes) -> None:
        self._tokenizer = tokenizer
        self._characters: NDArray[np.int64] = sizes.of_each()[:, 1].numpy()

    def characters(self, ids: Ids) -> int:
        """That begin in these tokens."""
        return int(self._characters[ids].sum())

    def line(self, scored: ScoredLine) -> LineRow:
        """The row of a line."""
        (number, text), ids, nats = scored.encoded.line, scored.encoded.scored, scored.nats
        loss = figures(float(nats.sum()), len(ids), self.characters(ids), scored.encoded.unknown)
        worst = int(nats.argmax()) if len(ids) else None
        return LineRow(
            line=number,
            most_surprising=None if worst is None else self.spelled(int(ids[worst])),
            most_surprising_nats=None if worst is None else float(nats[worst]),
            text=text,
            **loss,
        )

    def tokens(self, scored: ScoredLine) -> Iterator[TokenRow]:
        """The rows of a line's tokens."""
        pairs = zip(scored.encoded.scored.tolist(), scored.nats.tolist(), strict=True)
        for place, (token, nats) in enumerate(pairs, 1):
            yield TokenRow(scored.encoded.line.number, place, nats, self.spelled(token))

    def spelled(self, token: int) -> str:
        """What a token stands for."""
        return self._tokenizer.token_bytes(token).decode("utf-8", "backslashreplace").replace(ROW_END, r"\x00")


def figures(nats: float, tokens: int, characters: int, unknown: int) -> Loss:
    """What follows from a sum of losses; `unknown`: pieces of the text that were left out or replaced."""
    known = characters and not unknown
    return {
        "tokens": tokens,
        "nats": nats,
        "nats_per_token": nats / tokens if tokens else None,
        "characters": characters,
        "bits_per_character": nats / math.log(2) / characters if known else None,
        "unknown": unknown,
    }
