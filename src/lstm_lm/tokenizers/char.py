"""One token for each character that the text uses."""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np

from lstm_lm.errors import UserError
from lstm_lm.options import Options
from lstm_lm.text_chunks import chunks
from lstm_lm.tokenizers.interface import UNKNOWN, FitText, Ids, Tokenizer, fields, malformed, utf8

CODE_POINTS = 0x110000
REPLACEMENTS = "\N{REPLACEMENT CHARACTER}? "
"""The first of these in the alphabet stands in for what is not; else a character that ends no line or row, if any."""


class CharOptions(Options):
    """No choices: the alphabet is what the text uses."""

    name: Literal["char"]


class CharTokenizer(Tokenizer):
    """Ids are the places in the alphabet, which covers all splits, so no split holds anything unknown.

    It is sorted; behind it, each sorted, is what other texts have added.
    """

    name: ClassVar[str] = "char"
    grows = True
    OptionsType: ClassVar[type[Options]] = CharOptions

    def __init__(self, alphabet: str) -> None:
        """Take the distinct characters, in the order of their ids; at least one."""
        stand_ins = [*REPLACEMENTS, *filter(str.isprintable, alphabet), alphabet[0]]
        super().__init__(
            [character.encode("utf-8") for character in alphabet],
            replacement=next(place for character in stand_ins if (place := alphabet.find(character)) >= 0),
        )
        self._alphabet = alphabet
        codes = _code_points(alphabet)
        # One element more than the last character needs: every code point beyond is clipped to that one.
        self._table = np.full(int(codes.max()) + 2, UNKNOWN, np.int64)
        self._table[codes] = np.arange(len(codes))

    @classmethod
    def fit(cls, options: CharOptions, text: FitText) -> Self:  # noqa: ARG003  (there is nothing to choose)
        """Collect the alphabet of all splits.

        Raises:
            UserError: there is no text.
        """
        used = np.zeros(CODE_POINTS, np.bool_)
        for chunk in chunks(text.everything()):
            used[_code_points(chunk)] = True
        alphabet = "".join(map(chr, np.flatnonzero(used)))
        if not alphabet:
            raise UserError("the text is empty: a char tokenizer needs at least one character")
        return cls(alphabet)

    def extended(self, options: CharOptions, text: FitText) -> Self:
        """This alphabet, and behind it what other characters the splits of `text` have."""
        used = self.fit(options, text)._alphabet
        return type(self)(self._alphabet + "".join(sorted(set(used) - set(self._alphabet))))

    def to_json(self) -> dict[str, Any]:
        """The alphabet, as one string."""
        return {"name": self.name, "alphabet": self._alphabet}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The tokenizer with the alphabet of `data`.

        Raises:
            UserError: it is no string of distinct characters.
        """
        (alphabet,) = fields(data, cls.name, "alphabet")
        if not isinstance(alphabet, str) or not alphabet:
            raise malformed(cls.name, "its alphabet is no text")
        utf8(alphabet, cls.name)
        if len(set(alphabet)) != len(alphabet):
            raise malformed(cls.name, "its alphabet has a character twice")
        return cls(alphabet)

    def _ids(self, chunk: str) -> Ids:
        return self._table.take(_code_points(chunk), mode="clip")


def _code_points(text: str) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """uint32[len(text)]."""
    return np.frombuffer(text.encode("utf-32-le"), dtype="<u4")


TOKENIZER = CharTokenizer
