"""What every tokenizer is: text to token ids and back, in one piece or in a stream, kept as plain data.

`fields` and `utf8` check what `from_json` is given, which comes from a checkpoint or a cache.
"""

import codecs
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self

import numpy as np
import numpy.typing as npt

from lstm_lm.errors import UserError
from lstm_lm.options import Options
from lstm_lm.text_chunks import chunks

Unknown = Literal["error", "skip", "replace"]
Ids = npt.NDArray[np.int64]

ROW_END = "\0"
"""What is behind each row of a table: the one character that no text has (`data/tables.py`)."""
UNKNOWN = -1  # stands in `_ids` for a piece of text that no token covers; never leaves this package
MOST_SHOWN = 5  # unknown pieces that an error message names
LONGEST_SHOWN = 20  # characters of each


class Encoded(NamedTuple):
    """The tokens of a text."""

    ids: Ids
    """int64[n], each in `range(vocabulary_size)`."""
    replaced: int
    """Unknown pieces of text (characters, words) that a token stands in for, or that were left out (`skip`)."""


class FitText(Protocol):
    """The text that a tokenizer is made for. Each call begins a fresh pass; the pieces may be cut anywhere."""

    def training(self) -> Iterator[str]:
        """The training split."""

    def everything(self) -> Iterator[str]:
        """All splits."""


class Tokenizer(ABC):
    """Text to ids and back. Immutable once made; what it needs to be made again is `to_json`."""

    name: ClassVar[str]
    """The name of the option and of its module."""
    OptionsType: ClassVar[type[Options]]
    """Its section of the configuration."""
    always_replaces: ClassVar[bool] = False
    """Whether unknown text is normal in a corpus, as where a vocabulary of words never covers it."""
    grows: ClassVar[bool] = False
    """Whether there is an `extended`."""

    def __init__(self, tokens: Sequence[bytes], replacement: int | None = None) -> None:
        """Take the UTF-8 bytes of each token, and the id that replaces unknown text (None: there is none unknown)."""
        self._tokens = tuple(tokens)
        self._replacement = replacement

    @classmethod
    @abstractmethod
    def fit(cls, options: Any, text: FitText) -> Self:
        """Make the tokenizer for `text`, in constant memory but for its tables; `options` is an `OptionsType`.

        Raises:
            UserError: nothing can be made of this text.
        """

    def extended(self, options: Any, text: FitText) -> Self:
        """This tokenizer with more tokens behind its own, which keep their ids: those that only `fit` would have.

        `fit` of its class, of the same `options` and `text`. Where that has none that are not known, it is the same.

        Raises:
            NotImplementedError: where `grows` is not set.
        """
        raise NotImplementedError(f"the {self.name} tokenizer cannot grow")

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """All there is to know, as plain data that JSON can hold, with the key `name`."""

    @classmethod
    @abstractmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The tokenizer whose `to_json` is `data`.

        Raises:
            UserError: `data` is not what `to_json` writes.
        """

    @abstractmethod
    def _ids(self, chunk: str) -> Ids:
        """The ids, int64[n], of a chunk that ends where no token reaches across; `UNKNOWN` where there is none."""

    def _pieces(self, chunk: str) -> Sequence[str]:
        """The pieces of text that the elements of `_ids(chunk)` stand for, where one of them is `UNKNOWN`."""
        return chunk

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are; their ids count from 0."""
        return len(self._tokens)

    @property
    def knows_all(self) -> bool:
        """Whether no text has anything that is unknown."""
        return self._replacement is None

    def encode(self, text: str, unknown: Unknown = "error") -> Encoded:
        """The tokens of `text`; `unknown` says what becomes of text that no token covers.

        Raises:
            UserError: there is such text and `unknown` is "error", or `text` holds a lone surrogate.
        """
        parts = list(self.encode_pieces([text], unknown))
        ids = np.concatenate([part.ids for part in parts]) if parts else np.empty(0, np.int64)
        return Encoded(ids, sum(part.replaced for part in parts))

    def encode_pieces(self, pieces: Iterable[str], unknown: Unknown = "error") -> Iterator[Encoded]:
        """The tokens of the concatenation of `pieces`, in parts, in constant memory.

        All parts together are what `encode` makes of the whole text, wherever the pieces are cut.

        Raises:
            UserError: as `encode` does, when the iteration gets there.
        """
        position = 0
        for chunk in chunks(pieces):
            ids = self._ids(chunk)
            missing = ids == UNKNOWN
            count = int(np.count_nonzero(missing))
            if count and unknown == "error":
                raise self._unknown_text(chunk, missing, position)
            if count:
                ids = ids[~missing] if unknown == "skip" else np.where(missing, self.stand_in(), ids)
            yield Encoded(ids, count)
            position += len(chunk)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that `token` stands for: UTF-8, of which a token may hold part of a character.

        Raises:
            IndexError: there is no such token.
        """
        if token < 0:
            raise IndexError(f"token {token} is negative")
        return self._tokens[token]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; bytes that are no UTF-8 become U+FFFD."""
        return b"".join(map(self.token_bytes, ids)).decode("utf-8", errors="replace")

    def decoder(self) -> "StreamDecoder":
        """A decoder for tokens that come one at a time."""
        return StreamDecoder(self)

    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal: two tokenizers with the same one are the same."""
        canonical = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode("ascii")).hexdigest()

    def stand_in(self) -> int:
        """The id that `unknown="replace"` puts where no token is; only where some text is unknown."""
        assert self._replacement is not None, f"the {self.name} tokenizer met unknown text, but has no token for it"
        return self._replacement

    def _unknown_text(self, chunk: str, missing: npt.NDArray[np.bool_], position: int) -> "UnknownText":
        """The error that names the first unknown pieces of `chunk`, which begins at `position` of the text."""
        pieces = self._pieces(chunk)
        places = np.flatnonzero(missing).tolist()
        first = position + sum(map(len, pieces[: places[0]]))
        distinct = dict.fromkeys(pieces[place] for place in places)
        shown = ", ".join(map(_readable, list(distinct)[:MOST_SHOWN])) + (", ..." if len(distinct) > MOST_SHOWN else "")
        return UnknownText(
            f"the {self.name} tokenizer does not know {shown}\n"
            f"the first is at position {first} of the text (counted from 0)\n"
            f"unknown=skip leaves out what is not known, unknown=replace puts {self.decode([self.stand_in()])!r} there"
        )


class UnknownText(UserError):
    """There is text that no token covers."""


class StreamDecoder:
    """Text as soon as it is complete, from tokens that may end in the middle of a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, token: int) -> str:
        """The characters that `token` completes, none perhaps."""
        return self._utf8.decode(self._tokenizer.token_bytes(token))

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a character that was begun. The decoder is then as new."""
        rest = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return rest


def malformed(name: str, what: str) -> UserError:
    """The error for stored data of the tokenizer `name` that is not what `to_json` writes."""
    return UserError(
        f"the stored {name} tokenizer is malformed: {what}\n"
        "the file that holds it is damaged or was made by something else: use another checkpoint"
    )


def fields(data: Mapping[str, Any], name: str, *keys: str) -> list[Any]:
    """The values of `keys` in `data`, which must hold the tokenizer `name`, just those keys, and no others.

    Raises:
        UserError: it does not.
    """
    if not isinstance(data, Mapping):
        raise malformed(name, "it is not a mapping of keys to values")
    if data.get("name") != name:
        raise malformed(name, "its name is another")
    if set(data) != {"name", *keys}:
        raise malformed(name, f"its keys must be {', '.join(['name', *keys])}")
    return [data[key] for key in keys]


def utf8(text: str, name: str) -> bytes:
    """`text` in UTF-8.

    Raises:
        UserError: it holds a lone surrogate.
    """
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise malformed(name, "it holds a lone surrogate, which is no character") from None


def _readable(piece: str) -> str:
    """`piece` such that any terminal shows it: quoted and escaped, a single character with its code point."""
    if len(piece) == 1:
        return f"{piece!r} (U+{ord(piece):04X})"
    return repr(piece if len(piece) <= LONGEST_SHOWN else piece[:LONGEST_SHOWN] + "...")
