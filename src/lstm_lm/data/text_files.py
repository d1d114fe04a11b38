"""A text in files: opened, unpacked, decoded, and held to what it was when it was first read."""

import codecs
import hashlib
import os
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from lstm_lm.data import tables
from lstm_lm.data.decoding import decoded
from lstm_lm.data.foreign_files import HEAD_BYTES
from lstm_lm.data.not_text import SAMPLE_BYTES, NotText, check_head
from lstm_lm.data.packed import SUFFIXES, beginning, packing_at, packing_of, unpacked
from lstm_lm.data.text_source import PIECE_BYTES, TextSource
from lstm_lm.errors import UserError
from lstm_lm.printable import shown

FileIdentity = tuple[int, int] | str
"""Device and number of a file; where the file system numbers none, its path without links."""


def identity(path: Path, status: os.stat_result) -> FileIdentity:
    """What two names of one file have in common."""
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.normcase(os.path.realpath(path))


class FileText(TextSource):
    """One or more text files, joined in sorted order, with a newline between where a file does not end in one.

    Newlines stay as they are; a byte order mark at a file's start is not part of the text. What is packed is unpacked
    as it is read. With a `column` the files are tables, and the text is their rows, as `tables.rows` has them.

    The text is what the bytes were when they were first read. Every pass hashes what it reads, and one that ends with
    another digest is refused: what is counted, fitted and encoded in passes of their own is the text of the checksum.
    """

    def __init__(self, paths: Sequence[Path], encoding: str, key: str = "data.path", column: str | None = None) -> None:
        """Look at the beginning of each file.

        Args:
            paths: files; the order does not matter, and one that is there twice, by a link too, counts once.
            encoding: Python's name of the files' encoding ("utf-8", "latin-1", ...).
            key: the option that names them, for messages.
            column: of tables, the one that holds text.

        Raises:
            UserError: a file is missing, cannot be read, or is of another kind; or they are all empty.
        """
        self._key = key
        self.column = column
        self._encoding = codecs.lookup(encoding).name
        self._digests: dict[Path, str] = {}
        self._read: set[Path] = set()  # tables that have been read to their end
        self.files: dict[FileIdentity, Path] = {}
        """The files in the order that they are read in, by what stays the same whatever a file is called."""
        length = 0
        for path in sorted(set(paths)):
            status, begun = self._look(path)
            self.files.setdefault(identity(path, status), path)
            length += begun
        if not length:
            raise UserError(f"{self.label}: the text is empty\nname a file with text in it: {key}=FILE")

    @property
    def is_plain(self) -> bool:
        """Whether the files are as large as their text: nothing is packed, or a table."""
        return self.column is None and not any(map(packing_at, self.files.values()))

    @property
    def paths(self) -> Sequence[Path]:
        """The files, in the order in which they are read."""
        return list(self.files.values())

    @property
    def label(self) -> str:
        """What to call the text in a message."""
        first, *others = self.files.values()
        return f"{first}{f' and {len(others)} more' if others else ''}"

    def pieces(self) -> Iterator[str]:
        """The text from its start, in pieces of about 1 MiB.

        Raises:
            UserError: a file cannot be read, is not in the encoding, or is not text; known at its end: it has changed.
        """
        if self.column is not None:
            for path in self.files.values():
                yield from self._rows(path, self.column)
            return
        last = "\n"
        for path in self.files.values():
            begun = False
            for piece in self.decode(path):
                if not begun and last != "\n":
                    yield "\n"
                begun, last = True, piece[-1]
                yield piece

    def checksum(self) -> str:
        """SHA-256 of the bytes of a single UTF-8 file; else a digest over encoding, column and the files' own. Hex.

        Raises:
            UserError: a file cannot be read, or changes meanwhile.
        """
        digests = self.digests()
        if self.column is not None:
            kinds = [str(tables.kind_of(path)) for path in self.files.values()]
            digests = [repr(self.column), *kinds, *digests]
        elif len(digests) == 1 and self._encoding == "utf-8":
            return digests[0]
        return hashlib.sha256("\n".join([self._encoding, *digests]).encode()).hexdigest()

    def digests(self) -> list[str]:
        """SHA-256 of the bytes of each file, hex, in their order.

        Raises:
            UserError: a file cannot be read, or changes meanwhile.
        """
        for path in self.files.values():
            if path not in self._digests:
                _drain(self._chunks(path))
        return [self._digests[path] for path in self.files.values()]

    def without(self, digests: Container[str]) -> "FileText | None":
        """This text without the files whose bytes have one of these SHA-256; None: there is nothing else in it.

        Raises:
            UserError: a file cannot be read, or changes meanwhile.
        """
        own = self.digests()
        kept = [path for path, digest in zip(self.files.values(), own, strict=True) if digest not in digests]
        if not any(path.stat().st_size for path in kept):
            return None
        rest = FileText(kept, self._encoding, self._key, self.column)
        rest._digests = {path: self._digests[path] for path in kept}
        return rest

    def _look(self, path: Path) -> tuple[os.stat_result, int]:
        """What the system says of a file, and how many bytes its text begins with."""
        try:
            if path.exists() and not path.is_file():
                raise UserError(f"{path}: not a regular file\nname a text file: {self._key}=FILE")
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
                file.seek(max(0, file.seek(0, os.SEEK_END) - HEAD_BYTES))
                tail = file.read(HEAD_BYTES)
                status = os.fstat(file.fileno())
        except (OSError, ValueError) as error:  # ValueError: a zero character in the name
            raise self._unreadable(path, error) from error
        label = str(path)
        if packing_of(head) is not None:
            head, tail, label = beginning(path, HEAD_BYTES), b"", f"{path}, unpacked"
        kind = tables.kind_of(path)
        if self.column is None or kind != "parquet":
            check_head(head, tail, self._encoding, label)
        if self.column is not None and head:
            if kind is None:
                endings = f"{', '.join(tables.SUFFIXES)}; packed: {', '.join(SUFFIXES)}"
                raise UserError(
                    f"data.column={shown(self.column)}: {path} is no table by its name\n"
                    f"name tables ({endings}), or leave data.column out"
                )
            tables.check_column(kind, path, self.decode(path), self.column)
        return status, len(head)

    def _rows(self, path: Path, column: str) -> Iterator[str]:
        """The rows of a table; another file by the end of the pass is refused, as of every text."""
        kind = tables.kind_of(path)
        try:
            if kind is None or not path.stat().st_size:
                return
        except OSError as error:
            raise self._unreadable(path, error) from error
        if kind == "parquet" and path not in self._digests:
            _drain(self._chunks(path))
        yield from tables.rows(kind, path, self.decode(path), column, quiet=path in self._read)
        self._read.add(path)
        if kind == "parquet":
            _drain(self._chunks(path))

    def _chunks(self, path: Path) -> Iterator[bytes]:
        """The bytes of a file, in pieces, the last one empty; hashed as they pass."""
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                before = os.fstat(file.fileno())
                while chunk := file.read(PIECE_BYTES):
                    digest.update(chunk)
                    yield chunk
                after = os.fstat(file.fileno())
        except OSError as error:
            raise self._unreadable(path, error) from error
        if path not in self._digests and (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            self._digests[path] = digest.hexdigest()
        if self._digests.get(path) != digest.hexdigest():
            raise UserError(f"{path}: changed while it was being read\nstart again once nothing writes to it")
        yield b""

    def decode(self, path: Path) -> Iterator[str]:
        """The text of one of the files, unpacked, in pieces of about 1 MiB."""
        refusals = NotText(str(path), self._encoding, self._key, lambda: beginning(path, SAMPLE_BYTES))
        packing = packing_at(path)
        chunks = self._chunks(path)
        return decoded(chunks if packing is None else unpacked(chunks, packing, str(path)), refusals)

    def _unreadable(self, path: Path, error: OSError | ValueError) -> UserError:
        reason = getattr(error, "strerror", None) or error
        return UserError(f"{path}: cannot be read: {reason}\nname a text that can: {self._key}=FILE")


def _drain(chunks: Iterator[bytes]) -> None:
    for _ in chunks:
        pass
