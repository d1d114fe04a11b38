"""What was packed into a compressed file, piece by piece: gzip, Zstandard, xz and bzip2, told by their first bytes."""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple, Protocol

from lstm_lm.errors import UserError

SUFFIXES = (".gz", ".zst", ".xz", ".bz2")
"""What the names of packed files end with; which one says nothing that the bytes do not."""
MOST_AT_ONCE = 1 << 20
"""Bytes that are unpacked at once."""
MOST_MAGIC = 16
"""Bytes by which a packing is told, at most."""
_ZSTD_AT_ONCE = 1 << 8
"""Packed bytes, where a library does not bound what comes out: a block of 4 bytes may be one of 128 KiB."""


class Unpacker(Protocol):
    """What `bz2` and `lzma` have for one packed stream, of which a file may hold several."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether more comes out only of more bytes."""

    @property
    def unused_data(self) -> bytes:
        """What has been read behind the stream's end."""

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        """What comes out next."""


class Packing(NamedTuple):
    """A way of packing."""

    name: str
    magic: bytes
    """What such a file begins with."""
    unpacker: Callable[[], Unpacker]


class _Gzip:
    """zlib's, with the names of the others."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: bytes, max_length: int, /) -> bytes:
        found = self._stream.decompress(self._stream.unconsumed_tail + data, max_length)
        self.needs_input = len(found) < max_length and not self._stream.unconsumed_tail
        return found


class _Zstd:
    """That of the package zstandard, likewise; Python has one of its own from 3.14 on."""

    def __init__(self) -> None:
        import zstandard

        self._stream = zstandard.ZstdDecompressor().decompressobj()
        self._held = memoryview(b"")  # of which a part costs no copy

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    @property
    def needs_input(self) -> bool:
        return not len(self._held)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._stream.unused_data) + bytes(self._held)

    def decompress(self, data: bytes, max_length: int, /) -> bytes:  # noqa: ARG002  (bounded by what goes in)
        held = memoryview(data) if data else self._held  # more comes in when nothing is left
        self._held = held[_ZSTD_AT_ONCE:]
        found: bytes = self._stream.decompress(held[:_ZSTD_AT_ONCE])
        return found


def _zstd() -> Unpacker:
    if sys.version_info >= (3, 14):
        from compression import zstd

        return zstd.ZstdDecompressor()
    else:  # noqa: RET505  (the type checker follows versions in branches)
        return _Zstd()


_PACKINGS = (
    Packing("gzip", b"\x1f\x8b\x08", _Gzip),
    Packing("xz", b"\xfd7zXZ\0", lzma.LZMADecompressor),
    Packing("Zstandard", b"\x28\xb5\x2f\xfd", _zstd),
    Packing("Zstandard", b"\x50\x2a\x4d\x18", _zstd),  # a frame to be skipped, with which pzstd begins
    *(
        Packing("bzip2", b"BZh%d%b" % (level, begins), bz2.BZ2Decompressor)
        for level in range(1, 10)
        for begins in (b"1AY&SY", b"\x17rE8P\x90")  # a block; of nothing, the end
    ),
)


def packing_of(head: bytes) -> Packing | None:
    """How a file is packed that begins with `head`; None: it is not, or in another way."""
    return next((packing for packing in _PACKINGS if head.startswith(packing.magic)), None)


def unpacked_name(path: Path) -> Path:
    """What a file is called without what says that it is packed."""
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path


def unpacked(chunks: Iterable[bytes], packing: Packing, label: str) -> Iterator[bytes]:
    """What was packed into `chunks`, in pieces of about 1 MiB or less; the last one is empty.

    A file may hold several packed streams one after the other, and zeros behind them, as for the programs that pack.

    Raises:
        UserError: it is damaged, or cut off; a package is missing.
    """
    stream: Unpacker | None = None
    for chunk in filter(None, chunks):
        rest = chunk
        while stream is not None or (rest := rest.lstrip(b"\0")):
            stream = stream or _begin(packing, label)
            try:
                found = stream.decompress(rest, MOST_AT_ONCE)
            except Exception as error:  # each library has its own
                raise UserError(
                    f"{label}: damaged: {packing.name} cannot unpack it: {error!s:.100}\nfetch or pack it again"
                ) from None
            if found:
                yield found
            rest = stream.unused_data if stream.eof else b""
            if stream.eof:
                stream = None
            elif stream.needs_input:
                break
    if stream is not None:
        raise UserError(
            f"{label}: cut off: the end of what {packing.name} has packed is missing\nfetch or pack it again"
        )
    yield b""


def packing_at(path: Path) -> Packing | None:
    """How a file is packed; None: it is not, or cannot be read."""
    try:
        with path.open("rb") as file:
            return packing_of(file.read(MOST_MAGIC))
    except OSError:
        return None


def beginning(path: Path, size: int) -> bytes:
    """The first `size` bytes of a file, unpacked; none where it cannot be read.

    Raises:
        UserError: it is damaged, or cut off before that; a package is missing.
    """
    try:
        with path.open("rb") as file:
            chunks = chain([head := file.read(size)], iter(lambda: file.read(MOST_AT_ONCE), b""))
            if (packing := packing_of(head)) is None:
                return head
            found = b""
            for piece in unpacked(chunks, packing, str(path)):
                found += piece
                if len(found) >= size:
                    break
            return found[:size]
    except OSError:
        return b""


def _begin(packing: Packing, label: str) -> Unpacker:
    try:
        return packing.unpacker()
    except ImportError:
        raise UserError(
            f'{label}: Zstandard needs a package before Python 3.14: pip install "lstm-lm[zst]"\nor unzstd FILE'
        ) from None
