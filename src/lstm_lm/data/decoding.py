"""From the bytes of a text to its characters, piece by piece; what is no text is refused where it stands."""

import codecs
from collections.abc import Iterable, Iterator

from lstm_lm.data.not_text import NotText

TAKE_THEIR_MARK_AWAY = ("utf-8-sig", "utf-16", "utf-32")
"""Python's decoders that do so; of another one a mark becomes the first character."""


def decoded(chunks: Iterable[bytes], refusals: NotText) -> Iterator[str]:
    """The text of `chunks`, the last of which is empty; a byte order mark at the start is not part of it.

    Raises:
        UserError: the bytes are not in the encoding, or hold a zero character.
    """
    encoding = refusals.encoding
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    position = 0
    at_start = True
    for chunk in chunks:
        kept = len(decoder.getstate()[0])  # bytes of an unfinished character, decoded with this chunk
        try:
            piece = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            found = f"0x{error.object[error.start : error.start + 1].hex()}: {error.reason}"
            at = position - kept + error.start
            raise refusals.undecodable(at, found, error.object) from None
        except UnicodeError as error:  # what has no better one: UTF-16 without a byte order mark
            raise refusals.undecodable(position, str(error), b"") from None
        if "\0" in piece:
            raise refusals.binary(piece, position - kept, at_start)
        position += len(chunk)
        if at_start and piece:
            at_start = False
            if piece[0] == "\ufeff" and encoding not in TAKE_THEIR_MARK_AWAY:
                piece = piece[1:]
        if piece:
            yield piece
