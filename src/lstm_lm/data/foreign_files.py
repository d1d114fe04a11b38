"""What a file that was named as a text is instead, by its first bytes; and which encoding a text is likely to be in."""

import codecs
from typing import NamedTuple

HEAD_BYTES = 4096
MARKS = (  # UTF-32's mark begins with UTF-16's; the first of the encodings is the one to advise
    (codecs.BOM_UTF32_LE, ("utf-32", "utf-32-le")),
    (codecs.BOM_UTF32_BE, ("utf-32", "utf-32-be")),
    (codecs.BOM_UTF8, ("utf-8", "utf-8-sig")),
    (codecs.BOM_UTF16_LE, ("utf-16", "utf-16-le")),
    (codecs.BOM_UTF16_BE, ("utf-16", "utf-16-be")),
)
MOSTLY_ZERO, HARDLY_ZERO = 0.4, 0.1
"""Shares of zero bytes: of the higher half of UTF-16 in a Western language, and of its lower half."""
NOT_WESTERN = 0.2
"""Share of bytes beyond ASCII, above which a text is not in a Western language."""


class Foreign(NamedTuple):
    """A kind of file that is no plain text."""

    what: str
    remedy: str


def _unpack(command: str) -> str:
    return f"unpack it first, as with {command} FILE, and name what comes out"


_OFFICE = "save it as plain text (UTF-8) in a program that opens it, and name that file"
_TABLE = "write its column of text into a file of plain text, and name that"
_COLUMN = f"name the file .parquet and its column of text (data.column=NAME), or {_TABLE}"
_OTHER = "name a file of plain text"

_KINDS: tuple[tuple[int, bytes, Foreign], ...] = (
    (0, b"\x1f\x8b", Foreign("a gzip archive", _unpack("gunzip -k"))),
    (0, b"\xfd7zXZ\0", Foreign("an xz archive", _unpack("unxz -k"))),
    (0, b"\x28\xb5\x2f\xfd", Foreign("a Zstandard archive", _unpack("unzstd"))),
    (0, b"\x04\x22\x4d\x18", Foreign("an LZ4 archive", _unpack("unlz4"))),
    (0, b"7z\xbc\xaf\x27\x1c", Foreign("a 7z archive", _unpack("7z x"))),
    (0, b"Rar!\x1a\x07", Foreign("a RAR archive", _unpack("unrar x"))),
    (0, b"\x1f\x9d", Foreign("a file that compress has packed", _unpack("uncompress"))),
    (0, b"LZIP\x01", Foreign("an lzip archive", _unpack("lzip -dk"))),
    (257, b"ustar", Foreign("a tar archive", _unpack("tar -xf"))),
    (0, b"%PDF-", Foreign("a PDF file", "take the text out of it first, as with pdftotext FILE, and name that")),
    (0, b"%!PS-", Foreign("a PostScript file", "take the text out of it first, as with ps2ascii FILE, and name that")),
    (0, b"{\\rtf", Foreign("an RTF document", _OFFICE)),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Foreign("an older office document (.doc, .xls, .ppt)", _OFFICE)),
    (60, b"BOOKMOBI", Foreign("an electronic book (.mobi, .azw)", _OFFICE)),
    (0, b"PAR1", Foreign("a Parquet file", _COLUMN)),
    (0, b"ARROW1", Foreign("an Arrow file", _TABLE)),
    (0, b"Obj\x01", Foreign("an Avro file", _TABLE)),
    (0, b"SQLite format 3\0", Foreign("an SQLite database", _TABLE)),
    (0, b"\x89HDF\r\n\x1a\n", Foreign("an HDF5 file", _TABLE)),
    (0, b"\x93NUMPY", Foreign("a NumPy array", _OTHER)),
    (0, b"\x89PNG\r\n\x1a\n", Foreign("a PNG picture", _OTHER)),
    (0, b"\xff\xd8\xff", Foreign("a JPEG picture", _OTHER)),
    (0, b"GIF87a", Foreign("a GIF picture", _OTHER)),
    (0, b"GIF89a", Foreign("a GIF picture", _OTHER)),
    (0, b"RIFF", Foreign("a RIFF file: a sound, picture or film", _OTHER)),
    (0, b"OggS", Foreign("an Ogg file: a sound or film", _OTHER)),
    (0, b"\x7fELF", Foreign("a program", _OTHER)),
)
_WORDS = (b"ustar", b"PAR1", b"ARROW1", b"GIF87a", b"GIF89a", b"OggS", b"BOOKMOBI")
"""Those that a plain text may have there: such a file has zero bytes as well."""
_IN_ZIP: tuple[tuple[bytes, Foreign], ...] = (
    (b"word/", Foreign("a Word document (.docx)", _OFFICE)),
    (b"xl/", Foreign("an Excel workbook (.xlsx)", _OFFICE)),
    (b"ppt/", Foreign("a PowerPoint presentation (.pptx)", _OFFICE)),
    (b"opendocument", Foreign("an OpenDocument file (.odt, .ods)", _OFFICE)),
    (b"application/epub+zip", Foreign("an electronic book (.epub)", _OFFICE)),
    (b"/data.pkl", Foreign("a PyTorch checkpoint", "name the text to read, not a model")),
)
_ZIP = Foreign("a zip archive", _unpack("unzip"))


def recognised(head: bytes, tail: bytes) -> Foreign | None:
    """What a file is that begins and ends with these bytes (HEAD_BYTES of each will do); None: a text, maybe."""
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):  # its list of names is at the end
        return next((kind for name, kind in _IN_ZIP if name in head or name in tail), _ZIP)
    if head.startswith(b"BZh") and head[4:10] == b"1AY&SY":
        return Foreign("a bzip2 archive", _unpack("bunzip2 -k"))
    if head.startswith(b"RIFF") and head[8:12] not in (b"WAVE", b"WEBP", b"AVI "):
        return None
    found = next(((magic, kind) for place, magic, kind in _KINDS if head[place:].startswith(magic)), None)
    if found is None or (found[0] in _WORDS and b"\0" not in head):
        return None
    return found[1]


def marked(head: bytes) -> tuple[str, ...]:
    """The encodings, as `codecs` names them, one of which a byte order mark at a file's start says; none: no mark."""
    return next((names for mark, names in MARKS if head.startswith(mark)), ())


def likely_encoding(sample: bytes, failed: str) -> str | None:
    """The encoding that a text is likely to be in, of which `failed` cannot read this part; None: it cannot be told.

    UTF-16 and UTF-32 are told by where their zero bytes are: `sample` must begin at a character.
    """
    if b"\0" in sample:
        candidates = [_by_zeros(sample)]
    else:
        candidates = ["utf-8", None if failed in ("utf-16", "utf-32") else _western(sample)]
    return next((name for name in candidates if name and name != failed and _decodes(sample, name)), None)


def _by_zeros(sample: bytes) -> str | None:
    """Text that is mostly ASCII has a zero in all bytes of a unit but the lowest."""
    for width in (4, 2):
        units = max(1, len(sample) // width)
        zeros = [sample[place : units * width : width].count(0) / units for place in range(width)]
        for order, (*higher, lowest) in (("be", zeros), ("le", zeros[::-1])):
            if min(higher) > MOSTLY_ZERO and lowest < HARDLY_ZERO:
                return f"utf-{8 * width}-{order}"
    return None


def _western(sample: bytes) -> str | None:
    """Bytes 0x80 to 0x9f are quotes and dashes in cp1252, and invisible control characters in Latin-1."""
    beyond = [byte for byte in sample if byte >= 0x80]
    if not beyond or len(beyond) > max(1, NOT_WESTERN * len(sample)):
        return None
    return "cp1252" if min(beyond) < 0xA0 else "latin-1"


def _decodes(sample: bytes, encoding: str) -> bool:
    if encoding == "utf-8":
        sample = sample.lstrip(bytes(range(0x80, 0xC0)))  # the rest of a character that began before
    try:
        codecs.getincrementaldecoder(encoding)().decode(sample)
    except UnicodeError:
        return False
    return True
