"""Text as a stream: read piece by piece, as often as needed, in memory that does not grow with the text."""

import codecs
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path

from lstm_lm.data.checksums import ChecksumMemory, sha256_of
from lstm_lm.errors import UserError

PIECE_BYTES = 1 << 20
BYTE_ORDER_MARKS_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


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
        """The range from its start; what lies before it is read and passed over."""
        position = 0
        for piece in self._source.pieces():
            if position >= self._stop:
                return
            wanted = piece[max(0, self._start - position) : self._stop - position]
            position += len(piece)
            if wanted:
                yield wanted

    def checksum(self) -> str:
        """SHA-256 over the whole text's checksum and the bounds, hex."""
        return hashlib.sha256(f"{self._source.checksum()} {self._start} {self._stop}".encode()).hexdigest()


class FileText(TextSource):
    """One or more text files, joined in sorted order, with a newline between where a file does not end in one.

    Newlines stay as they are; a byte order mark at a file's start is not part of the text.
    """

    def __init__(self, paths: Sequence[Path], encoding: str, memory: ChecksumMemory | None = None) -> None:
        """Look at the files without reading them.

        Args:
            paths: files; the order does not matter, and one named twice counts once.
            encoding: Python's name of the files' encoding ("utf-8", "latin-1", ...).
            memory: where checksums of large files are remembered.

        Raises:
            UserError: a file is missing or cannot be read, or they are all empty.
        """
        self._paths = sorted(set(paths))
        self._encoding = codecs.lookup(encoding).name
        self._memory = memory
        self._sizes = [_size(path) for path in self._paths]
        if not any(self._sizes):
            raise UserError(f"{self.label}: the text is empty\nname a file with text in it: data.path=FILE")

    @property
    def label(self) -> str:
        """What to call the text in a message."""
        more = len(self._paths) - 1
        return f"{self._paths[0]}{f' and {more} more' if more else ''}"

    def pieces(self) -> Iterator[str]:
        """The text from its start, in pieces of about 1 MiB.

        Raises:
            UserError: a file cannot be read, is not in the encoding, is not text, or changed meanwhile.
        """
        last = "\n"
        for path, size in zip(self._paths, self._sizes, strict=True):
            if size and last != "\n":
                yield "\n"
            for piece in self._decode(path, size):
                last = piece[-1]
                yield piece

    def checksum(self) -> str:
        """SHA-256 of the bytes of a single UTF-8 file; else a digest over encoding and the files' checksums. Hex.

        Raises:
            UserError: a file cannot be read.
        """
        digests = []
        for path in self._paths:
            try:
                digests.append(self._memory.sha256(path) if self._memory else sha256_of(path))
            except OSError as error:
                raise _unreadable(path, error) from error
        if len(digests) == 1 and self._encoding == "utf-8":
            return digests[0]
        return hashlib.sha256("\n".join([self._encoding, *digests]).encode()).hexdigest()

    def _decode(self, path: Path, size: int) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self._encoding)(errors="strict")
        position = 0
        try:
            with path.open("rb") as file:
                if self._encoding == "utf-8" and file.read(3) == codecs.BOM_UTF8:
                    position = 3
                file.seek(position)
                while True:
                    chunk = file.read(PIECE_BYTES)
                    kept = len(decoder.getstate()[0])  # bytes of an unfinished character, decoded with this chunk
                    try:
                        piece = decoder.decode(chunk, final=not chunk)
                    except UnicodeDecodeError as error:
                        raise self._not_text(path, position - kept + error.start, error, chunk) from None
                    if "\0" in piece:
                        before = piece[: piece.index("\0")].encode(self._encoding, "surrogatepass")
                        raise _binary(path, position - kept + len(before))
                    position += len(chunk)
                    if piece:
                        yield piece
                    if not chunk:
                        break
        except OSError as error:
            raise _unreadable(path, error) from error
        if position != size:
            raise UserError(f"{path}: changed while it was being read\nstart again once nothing writes to it")

    def _not_text(self, path: Path, offset: int, error: UnicodeDecodeError, chunk: bytes) -> UserError:
        wide = self._encoding.startswith(("utf-16", "utf-32"))
        with path.open("rb") as file:
            if not wide and file.read(2) in BYTE_ORDER_MARKS_16:
                return UserError(
                    f"{path}: not {self._encoding} but, by its first bytes, UTF-16\nadd data.encoding=utf-16"
                )
        if not wide and b"\0" in chunk:
            return _binary(path, offset)
        found = error.object[error.start : error.start + 1].hex()
        return UserError(
            f"{path}: not {self._encoding} at byte offset {offset} (0x{found}: {error.reason})\n"
            "if it is in another encoding, name it, as in data.encoding=latin-1,\n"
            "or convert it: iconv -f ENCODING -t UTF-8 FILE > NEW_FILE"
        )


def _size(path: Path) -> int:
    """Size in bytes of a file that can be read."""
    try:
        if path.exists() and not path.is_file():
            raise UserError(f"{path}: not a regular file\nname a text file, or read standard input with data.path=-")
        with path.open("rb") as file:
            file.read(1)
        return path.stat().st_size
    except (OSError, ValueError) as error:  # ValueError: a zero character in the name
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError | ValueError) -> UserError:
    return UserError(
        f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}\nname a text that can: data.path=FILE"
    )


def _binary(path: Path, offset: int) -> UserError:
    return UserError(
        f"{path}: not a text file (a zero byte, or what surrounds one, at byte offset {offset})\n"
        "name a file of plain text, or its encoding, as in data.encoding=utf-16"
    )
