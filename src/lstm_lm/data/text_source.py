"""Text as a stream: read piece by piece, as often as needed, in memory that does not grow with the text."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

PIECE_BYTES = 1 << 20


class TextSource(ABC):
    """A text that can be read any number of times."""

    @property
    @abstractmethod
    def label(self) -> str:
        """What to call the text in a message."""

    @abstractmethod
    def pieces(self) -> Iterator[str]:
        """The text from its start, in pieces of about 1 MiB; each call is a pass of its own.

        Raises:
            UserError: the text cannot be read.
        """

    @abstractmethod
    def checksum(self) -> str:
        """SHA-256, hex, that identifies the text.

        Raises:
            UserError: the text cannot be read.
        """

    @abstractmethod
    def digests(self) -> list[str]:
        """SHA-256, hex, of the bytes of each file that the text is made of; of a text without files, its own.

        Raises:
            UserError: the text cannot be read.
        """

    @property
    def paths(self) -> Sequence[Path]:
        """The files that it is read from, where it is."""
        return ()

    def characters(self) -> int:
        """Length in characters, found by reading the text."""
        return sum(map(len, self.pieces()))


class StringText(TextSource):
    """A text that is in memory anyway."""

    def __init__(self, text: str, label: str) -> None:
        self._text = text
        self._label = label

    @property
    def label(self) -> str:
        """What to call the text in a message."""
        return self._label

    def pieces(self) -> Iterator[str]:
        """The text from its start, in pieces of about 1 MiB."""
        for start in range(0, len(self._text), PIECE_BYTES):
            yield self._text[start : start + PIECE_BYTES]

    def checksum(self) -> str:
        """SHA-256 of the text in UTF-8, hex."""
        return hashlib.sha256(self._text.encode("utf-8", "surrogatepass")).hexdigest()

    def digests(self) -> list[str]:
        """The checksum."""
        return [self.checksum()]


class CharacterRange(TextSource):
    """The characters [start, stop) of another text."""

    def __init__(self, source: TextSource, start: int, stop: int) -> None:
        self._source = source
        self._start = start
        self._stop = stop

    @property
    def label(self) -> str:
        """What to call the text in a message."""
        return f"{self._source.label}, characters {self._start:,} to {self._stop:,}"

    def pieces(self) -> Iterator[str]:
        """The range from its start; the rest is read and passed over, so that a change is noticed at the text's end."""
        position = 0
        for piece in self._source.pieces():
            wanted = piece[max(0, self._start - position) : max(0, self._stop - position)]
            position += len(piece)
            if wanted:
                yield wanted

    def checksum(self) -> str:
        """SHA-256 over the whole text's checksum and the bounds, hex."""
        return hashlib.sha256(f"{self._source.checksum()} {self._start} {self._stop}".encode()).hexdigest()

    def digests(self) -> list[str]:
        """Those of the whole text."""
        return self._source.digests()
