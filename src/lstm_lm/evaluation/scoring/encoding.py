r"""A line as the model reads it: what it has before it, its tokens, its end.

In training a line is never without a past: whatever its unit, the token before a line's first one is that of a newline
(data/lines.py says so of data.unit=line). So a line is read from a fresh state, after a newline; each of its tokens is
predicted, and its own newline as well: that a line ends here, and not later, is part of how likely it is. A tokenizer
that has never seen a newline has neither: then a line's first token is only read, and the text ends without an end.
A row of a table is read in the same way, after and with the end of the run's own units; of running text, a newline.
"""

from typing import NamedTuple

import numpy as np

from lstm_lm.data.units import LINE_END
from lstm_lm.evaluation.scoring.lines import Line
from lstm_lm.tokenizers import Tokenizer, Unknown
from lstm_lm.tokenizers.interface import Ids

_NOTHING = np.empty(0, np.int64)


class EncodedLine(NamedTuple):
    """A line, ready to be scored."""

    line: Line
    ids: Ids
    """int64[n + 1]: what is read first, then the n tokens that are scored; empty where there is nothing to score."""
    unknown: int
    """Pieces of it that the tokenizer does not know, left out or replaced."""

    @property
    def scored(self) -> Ids:
        """The tokens that are scored, int64[n]."""
        return self.ids[1:]


class LineEncoder:
    """Turns lines into tokens."""

    def __init__(self, tokenizer: Tokenizer, unknown: Unknown, end: str | None = None) -> None:
        """Find out what a line ends with.

        Args:
            tokenizer: the run's.
            unknown: what becomes of text that no token covers; a tokenizer of words always replaces it.
            end: of rows, what the run's own units end with; None: it is lines that are encoded.
        """
        self._tokenizer = tokenizer
        self.unknown: Unknown = "replace" if tokenizer.always_replaces else unknown
        self._end, self._before = self._ending(end or LINE_END)
        self.knows_return = end is not None or bool(len(tokenizer.encode("\r", "skip").ids))
        r"""Whether a `\r` before a newline is scored."""

    @property
    def scores_the_end(self) -> bool:
        """Whether the tokenizer has a newline, or what ends a row."""
        return bool(len(self._before))

    def encode(self, line: Line) -> EncodedLine:
        r"""The tokens of a line; none where it is blank, or all of it unknown and left out.

        A `\r` at its end belongs to that, where the tokenizer does not know it.

        Raises:
            UserError: it has what the tokenizer does not know, and `unknown` is "error"; or half of a character.
        """
        text = line.text if self.knows_return else line.text.removesuffix("\r")
        if not text.strip():
            return EncodedLine(line, _NOTHING, 0)
        end = self._end.removeprefix(" ") if text.endswith(" ") else self._end
        ids, unknown = self._tokenizer.encode(text + end, self.unknown)
        if unknown and self.unknown == "skip" and not self._tokenizer.decode(ids.tolist()).strip():
            return EncodedLine(line, _NOTHING, unknown)
        return EncodedLine(line, np.concatenate([self._before, ids]), unknown)

    def _ending(self, end: str) -> tuple[str, Ids]:
        """How a line ends, and the token before the next one begins, [1]; nothing of either where there is none."""
        for spelled in (end, f" {end}"):  # the second where words are set apart by blanks, newlines too (WikiText)
            ids = self._tokenizer.encode(spelled, "skip").ids
            if len(ids) and end.encode()[-1:] in self._tokenizer.token_bytes(int(ids[-1])):
                return spelled, ids[-1:]
        return "", _NOTHING
