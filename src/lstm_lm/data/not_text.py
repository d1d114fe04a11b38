"""What to say of a file whose bytes are no text in the encoding that was asked for."""

from pathlib import Path

from lstm_lm.data.foreign_files import likely_encoding, marked
from lstm_lm.errors import UserError

SAMPLE_BYTES = 1 << 16


def not_text(path: Path, encoding: str, key: str, offset: int, found: str, near: bytes) -> UserError:
    """The refusal of bytes that are not in `encoding`; `near`: those around them, as far as they are known."""
    head = _head(path)
    likely = likely_encoding(near if near and b"\0" not in head else head, encoding)
    if likely is None and b"\0" in near and not encoding.startswith(("utf-16", "utf-32")):
        return _no_text_at_all(path, encoding, key, offset)
    if likely is None and encoding in ("utf-16", "utf-32"):
        likely = f"{encoding}-le, or {encoding}-be"
    known = f"data.encoding={likely}" if likely else "data.encoding=shift_jis, gb18030 or cp1251"
    return UserError(
        f"{path}: not {encoding} at byte offset {offset} ({found})\n"
        f"if it is in another encoding, name it, as in {known},\n"
        "or convert it: iconv -f ENCODING -t UTF-8 FILE > NEW_FILE"
    )


def binary(path: Path, encoding: str, key: str, piece: str, offset: int, at_start: bool) -> UserError:
    """The refusal of `piece`, which holds a zero character, and begins at this byte."""
    mark = len("".encode(encoding))  # that Python's encoder begins every text with, and the file its first
    before = len(piece[: piece.index("\0")].encode(encoding, "surrogatepass")) - mark
    if at_start and mark and marked(_head(path)):
        before += mark
    return _no_text_at_all(path, encoding, key, offset + before)


def _no_text_at_all(path: Path, encoding: str, key: str, offset: int) -> UserError:
    likely = likely_encoding(_head(path), encoding)
    remedy = f"by its zero bytes it may be {likely}: add data.encoding={likely}" if likely else "name a plain text"
    return UserError(
        f"{path}: not a text file (a zero byte, or what surrounds one, at byte offset {offset})\n"
        f"{remedy}{'' if likely else f': {key}=FILE'}"
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SAMPLE_BYTES)
    except OSError:
        return b""
