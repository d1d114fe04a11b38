"""What to say of bytes that are no text in the encoding that was asked for."""

from collections.abc import Callable
from typing import NamedTuple

from lstm_lm.data.foreign_files import likely_encoding, marked, recognised
from lstm_lm.errors import UserError

SAMPLE_BYTES = 1 << 16


class NotText(NamedTuple):
    """The refusals of one file, or of a pipe."""

    label: str
    """What to call it."""
    encoding: str
    """Python's name of the encoding that was asked for."""
    key: str
    """The option that named it, for messages."""
    head: Callable[[], bytes]
    """Its first bytes, SAMPLE_BYTES of them at most."""

    def undecodable(self, offset: int, found: str, near: bytes) -> UserError:
        """The refusal of bytes that are not in `encoding`; `near`: those around them, as far as they are known."""
        head = self.head()
        likely = likely_encoding(near if near and b"\0" not in head else head, self.encoding)
        if likely is None and b"\0" in near and not self.encoding.startswith(("utf-16", "utf-32")):
            return self._no_text_at_all(offset)
        if likely is None and self.encoding in ("utf-16", "utf-32"):
            likely = f"{self.encoding}-le, or {self.encoding}-be"
        known = f"data.encoding={likely}" if likely else "data.encoding=shift_jis, gb18030 or cp1251"
        return UserError(
            f"{self.label}: not {self.encoding} at byte offset {offset} ({found})\n"
            f"if it is in another encoding, name it, as in {known},\n"
            "or convert it: iconv -f ENCODING -t UTF-8 FILE > NEW_FILE"
        )

    def binary(self, piece: str, offset: int, at_start: bool) -> UserError:
        """The refusal of `piece`, which holds a zero character, and begins at this byte."""
        mark = len("".encode(self.encoding))  # that Python's encoder begins every text with, and the file its first
        before = len(piece[: piece.index("\0")].encode(self.encoding, "surrogatepass")) - mark
        if at_start and mark and marked(self.head()):
            before += mark
        return self._no_text_at_all(offset + before)

    def _no_text_at_all(self, offset: int) -> UserError:
        likely = likely_encoding(self.head(), self.encoding)
        remedy = f"by its zero bytes it may be {likely}: add data.encoding={likely}" if likely else "name a plain text"
        return UserError(
            f"{self.label}: not a text file (a zero byte, or what surrounds one, at byte offset {offset})\n"
            f"{remedy}{'' if likely else f': {self.key}=FILE'}"
        )


def check_head(head: bytes, tail: bytes, encoding: str, label: str) -> None:
    """Refuse what is, by its first and last bytes, another kind of file, or in another encoding.

    Raises:
        UserError: it is.
    """
    kind = recognised(head, tail)
    if kind is not None:
        raise UserError(f"{label}: not plain text but {kind.what}\n{kind.remedy}")
    encodings = marked(head)
    if encodings and encoding not in encodings:
        raise UserError(
            f"{label}: not {encoding} but, by its first bytes, {encodings[0].upper()}\nadd data.encoding={encodings[0]}"
        )
