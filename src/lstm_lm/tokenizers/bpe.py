"""Byte-pair encoding over bytes: frequent strings become tokens, any text can be written, nothing is unknown."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import tokenizers
from pydantic import Field
from tokenizers import decoders, models, pre_tokenizers, trainers

from lstm_lm.options import Options
from lstm_lm.text_chunks import AT_MOST, chunks
from lstm_lm.tokenizers.interface import FitText, Ids, Tokenizer, fields, malformed

PORTION = 4096  # characters that one thread of the library encodes at a time; its speed is flat from 1,000 to 16,000
PARALLELISM = "TOKENIZERS_PARALLELISM"


def _printable_bytes() -> dict[str, int]:
    """The characters by which the library writes bytes: itself where Latin-1 shows the byte, else U+0100 and up."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(0x100 + place): byte for place, byte in enumerate(hidden)}


BYTES = _printable_bytes()


def _use_threads_without_warnings() -> None:
    """Let the library use threads here, but not in a forked child, where its pool of threads does not exist.

    Left alone it does the same, but prints a warning in every child. Whoever has set the variable is not overruled.
    """
    if sys.platform != "win32" and PARALLELISM not in os.environ:
        os.environ[PARALLELISM] = "true"
        os.register_at_fork(after_in_child=lambda: os.environ.update({PARALLELISM: "false"}))


_use_threads_without_warnings()


class BpeOptions(Options):
    """How large the vocabulary is, and how often a pair must occur to be merged into a token."""

    name: Literal["bpe"]
    vocabulary_size: Annotated[int, Field(ge=257, le=1_000_000)]
    min_frequency: Annotated[int, Field(ge=1)]


class BpeTokenizer(Tokenizer):
    """Byte-level BPE of the library `tokenizers`; exactly reversible."""

    name: ClassVar[str] = "bpe"
    OptionsType: ClassVar[type[Options]] = BpeOptions

    def __init__(self, library: tokenizers.Tokenizer, serialised: str) -> None:
        """Take the library's tokenizer, and its own serialisation in the form that `to_json` shall give back."""
        vocabulary = sorted(library.get_vocab().items(), key=lambda item: item[1])
        super().__init__([bytes(BYTES[character] for character in token) for token, _ in vocabulary])
        self._library = library
        # Kept rather than asked for again: another version of the library would write another form of the same.
        self._serialised = serialised

    @classmethod
    def fit(cls, options: BpeOptions, text: FitText) -> Self:
        """Learn the merges from the training text. The same text gives the same tokenizer.

        Memory grows with the number of different words, not with the length of the text. Where the text does not
        have enough pairs of `min_frequency`, the vocabulary stays smaller than `vocabulary_size`.

        Raises:
            UserError: the text holds a lone surrogate.
        """
        library = _untrained()
        trainer = trainers.BpeTrainer(
            vocab_size=options.vocabulary_size,
            min_frequency=options.min_frequency,
            initial_alphabet=sorted(BYTES),
            show_progress=False,
        )
        # The trainer takes time in the square of a word's length, so text without blanks is cut more often here.
        library.train_from_iterator(chunks(text.training(), PORTION, 2 * PORTION), trainer)
        return cls(library, library.to_str())

    def to_json(self) -> dict[str, Any]:
        """The library's own serialisation, below the key `tokenizer`."""
        return {"name": self.name, "tokenizer": json.loads(self._serialised)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The tokenizer with the vocabulary and merges of `data`.

        Raises:
            UserError: `data` is not what `to_json` writes; any setting of the library that is not ours is refused.
        """
        (stored,) = fields(data, cls.name, "tokenizer")
        _check(stored)
        serialised = json.dumps(stored)
        try:
            library = tokenizers.Tokenizer.from_str(serialised)
        except Exception as error:  # the library raises nothing more special
            raise malformed(cls.name, " ".join(str(error).split())[:200]) from None
        return cls(library, serialised)

    def _ids(self, chunk: str) -> Ids:
        # In portions, because the library spreads a batch over threads. A chunk is too short to be cut by force here.
        portions = list(chunks([chunk], PORTION, AT_MOST))
        encodings = self._library.encode_batch_fast(portions, add_special_tokens=False)
        return np.concatenate([np.asarray(encoding.ids, np.int64) for encoding in encodings])


def _untrained() -> tokenizers.Tokenizer:
    library = tokenizers.Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    return library


def _check(stored: Any) -> None:
    """Refuse a serialisation that differs from an untrained tokenizer's in more than its vocabulary and merges."""
    name = BpeTokenizer.name
    ours = json.loads(_untrained().to_str())
    model = stored.get("model") if isinstance(stored, dict) else None
    if not isinstance(model, dict):
        raise malformed(name, "it has no model")
    for settings, expected in ((stored, ours), (model, ours["model"])):
        for key, value in settings.items():
            if key not in ("model", "vocab", "merges") and (key not in expected or value != expected[key]):
                raise malformed(name, f"its setting {key!r} is not one of this project's")
    if model.get("type") != "BPE" or stored.get("pre_tokenizer") is None:
        raise malformed(name, "it is no byte-level BPE")
    vocabulary, merges = model.get("vocab"), model.get("merges")
    if not isinstance(vocabulary, dict) or not all(type(token) is int for token in vocabulary.values()):
        raise malformed(name, "its vocabulary is no mapping of tokens to ids")
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise malformed(name, "its ids do not count from 0 without gaps")
    if not all(isinstance(token, str) and token and BYTES.keys() >= set(token) for token in vocabulary):
        raise malformed(name, "one of its tokens does not stand for bytes")
    if not vocabulary.keys() >= BYTES.keys():
        raise malformed(name, "it does not have all 256 bytes")
    if not isinstance(merges, list) or not all(_is_merge(merge, vocabulary) for merge in merges):
        raise malformed(name, "its merges are no list of pairs of tokens that make a token")


def _is_merge(merge: Any, vocabulary: Mapping[str, int]) -> bool:
    if not isinstance(merge, list) or len(merge) != 2 or not all(isinstance(token, str) for token in merge):
        return False
    return {*merge, "".join(merge)} <= vocabulary.keys()


TOKENIZER = BpeTokenizer
