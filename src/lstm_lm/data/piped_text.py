"""Standard input as a text that is read once, as it comes: nothing of it is kept, in memory or on the disk."""

import codecs
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Protocol

from lstm_lm.data.cache_folder import cache_folder
from lstm_lm.data.decoding import decoded
from lstm_lm.data.foreign_files import HEAD_BYTES
from lstm_lm.data.not_text import SAMPLE_BYTES, NotText, check_head
from lstm_lm.data.packed import packing_of, unpacked
from lstm_lm.data.text_files import FileText
from lstm_lm.data.text_paths import STANDARD_INPUT, rows_of_standard_input, standard_input, text_at
from lstm_lm.data.text_source import PIECE_BYTES
from lstm_lm.errors import UserError


class ReadableText(Protocol):
    """A text that can be read at least once: what `TextSource` and `PipedText` have in common."""

    @property
    def label(self) -> str:
        """What to call the text in a message."""

    def pieces(self) -> Iterator[str]:
        """The text from its start, in pieces of about 1 MiB or less.

        Raises:
            UserError: the text cannot be read.
        """


def text_to_read_once(
    path: str | list[str], encoding: str, key: str = "data.path", column: str | None = None
) -> "FileText | PipedText":
    """The text that `path` names, as `text_at` has it, but that standard input is not copied.

    Raises:
        UserError: nothing is there, it cannot be read, or it is empty; no such encoding.
    """
    try:
        "a".encode(encoding)
    except (LookupError, ValueError):
        raise UserError(f"data.encoding={encoding}: no text encoding that Python knows: utf-8, latin-1, ...") from None
    if path in (STANDARD_INPUT, [STANDARD_INPUT]):
        if column is not None:
            raise rows_of_standard_input(key)
        return PipedText(standard_input(key).buffer, encoding, key)
    return text_at(path, encoding, cache_folder(None), key, column)


class PipedText:
    """A text that comes through a pipe."""

    def __init__(self, stream: BinaryIO, encoding: str, key: str = "data.path") -> None:
        """Read nothing yet.

        Args:
            stream: with `read1`, as `sys.stdin.buffer` has it.
            encoding: Python's name of the text's encoding.
            key: the option that named it, for messages.
        """
        self._stream = stream
        self._encoding = codecs.lookup(encoding).name
        self._key = key
        self._head = b""

    @property
    def label(self) -> str:
        """What to call the text in a message."""
        return "standard input"

    @property
    def is_plain(self) -> bool:
        """Whether its size is that of its text: nobody knows."""
        return False

    @property
    def paths(self) -> Sequence[Path]:
        """None: it is no file."""
        return ()

    def pieces(self) -> Iterator[str]:
        """The text, each piece as soon as it is there.

        Raises:
            UserError: it cannot be read, is empty, is not in the encoding, or is not text.
        """
        yield from decoded(self._chunks(), NotText(self.label, self._encoding, self._key, lambda: self._head))

    def _chunks(self) -> Iterator[bytes]:
        """What comes, unpacked, the last chunk empty."""
        raw = iter(self._read, b"")
        first = _first(raw)
        if not first:
            raise UserError(f"{self._key}=-: standard input is empty\npipe a text in: cat FILE | COMMAND")
        if (packing := packing_of(first)) is not None:
            raw = unpacked(chain([first], raw), packing, self.label)
            first = _first(raw)
        check_head(first[:HEAD_BYTES], first[-HEAD_BYTES:], self._encoding, self.label)
        self._head = first[:SAMPLE_BYTES]
        yield from filter(None, chain([first], raw))
        yield b""

    def _read(self) -> bytes:
        try:
            return self._stream.read1(PIECE_BYTES)  # type: ignore[attr-defined,no-any-return]  # of every buffered one
        except (OSError, ValueError) as error:  # ValueError: it has been closed
            raise UserError(f"{self.label}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _first(chunks: Iterator[bytes]) -> bytes:
    """As many as it takes for HEAD_BYTES; all, where there is less."""
    first = b""
    while len(first) < HEAD_BYTES and (chunk := next(chunks, b"")):
        first += chunk
    return first
