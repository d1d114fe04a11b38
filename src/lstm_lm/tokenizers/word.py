"""One token for each frequent word, punctuation mark or blank; all others are one unknown token."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from lstm_lm.errors import UserError
from lstm_lm.options import Options
from lstm_lm.text_chunks import chunks
from lstm_lm.text_pieces import WORDS, in_python
from lstm_lm.tokenizers.interface import ROW_END, UNKNOWN, FitText, Ids, Tokenizer, fields, malformed, utf8

UNKNOWN_WORD = "<unk>"  # what the unknown token, id 0, decodes to


class WordOptions(Options):
    """How large the vocabulary is, and how often a word must occur to be in it."""

    name: str
    vocabulary_size: Annotated[int, Field(ge=2, le=10_000_000)]
    min_frequency: Annotated[int, Field(ge=1)]


class WordTokenizer(Tokenizer):
    """Reversible for the words it knows; unknown text is normal, so corpora are encoded with `unknown="replace"`."""

    name: ClassVar[str] = "word"
    OptionsType: ClassVar[type[Options]] = WordOptions
    always_replaces = True
    grows = True
    form: ClassVar[str] = WORDS
    """What a word is, of `text_pieces.py`."""
    piece: ClassVar[re.Pattern[str]] = in_python(WORDS)
    """The same. No match reaches across a border of chunks (`text_chunks.py`); all of them are the whole text."""

    def __init__(self, words: Sequence[str]) -> None:
        """Take the known pieces, distinct, in the order of their ids, which count from 1."""
        super().__init__([word.encode("utf-8") for word in (UNKNOWN_WORD, *words)], replacement=0)
        self._words = list(words)
        self._index = {word: token for token, word in enumerate(words, start=1)}

    @classmethod
    def fit(cls, options: WordOptions, text: FitText) -> Self:
        """Take the most frequent pieces of the training text; of those equally frequent, the first by code points.

        The end of a row is taken however rare it is: without it no row would end.

        Memory grows with the number of different pieces, not with the length of the text.

        Raises:
            UserError: none is frequent enough.
        """
        words = cls._frequent(options, text)
        if not words:
            raise UserError(
                f"no word occurs {options.min_frequency} times in the training text\n"
                "give more text, or a smaller tokenizer.min_frequency"
            )
        return cls(words)

    def extended(self, options: WordOptions, text: FitText) -> Self:
        """These words, and behind them the others that are frequent in the training text; none may be."""
        return type(self)([*self._words, *(word for word in self._frequent(options, text) if word not in self._index)])

    @classmethod
    def _frequent(cls, options: WordOptions, text: FitText) -> list[str]:
        counts = Counter[str]()
        for chunk in chunks(text.training()):
            counts.update(cls.piece.findall(chunk))
        if max(counts.values(), default=0) < options.min_frequency:
            return []
        frequent = [word for word, count in counts.items() if count >= options.min_frequency or word == ROW_END]
        frequent.sort(key=lambda word: (word != ROW_END, -counts[word], word))
        return frequent[: options.vocabulary_size - 1]

    def to_json(self) -> dict[str, Any]:
        """The known pieces, in the order of their ids, which count from 1."""
        return {"name": self.name, "words": list(self._words)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The tokenizer with the words of `data`.

        Raises:
            UserError: they are no list of distinct texts.
        """
        (words,) = fields(data, cls.name, "words")
        if not isinstance(words, list) or not words or not all(isinstance(word, str) and word for word in words):
            raise malformed(cls.name, "its words are no list of texts")
        if len(set(words)) != len(words):
            raise malformed(cls.name, "one of its words is there twice")
        utf8("".join(words), cls.name)
        return cls(words)

    def _ids(self, chunk: str) -> Ids:
        pieces = self.piece.findall(chunk)
        return np.fromiter(map(self._index.get, pieces, repeat(UNKNOWN)), np.int64, count=len(pieces))

    def _pieces(self, chunk: str) -> Sequence[str]:
        return self.piece.findall(chunk)


TOKENIZER = WordTokenizer
