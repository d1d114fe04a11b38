"""Cut a stream of text into chunks that can be encoded one by one, whatever the pieces it arrives in."""

import re
from collections.abc import Generator, Iterable, Iterator

from lstm_lm.errors import UserError

AT_LEAST = 1 << 16  # characters; large enough that the cost of a chunk is nothing beside that of its text
AT_MOST = 1 << 17  # characters; what bounds the memory of an encoder

# A border: after a character that is not blank, before one that is. No token of any tokenizer here reaches across one
# (tokens may begin with blanks, never end with them after something else). The separators U+001C to U+001F are left
# out because Python calls them blanks and Unicode's White_Space, which the BPE library follows, does not.
_BORDER = re.compile(r"\S(?=[^\S\x1c-\x1f])")


def chunks(pieces: Iterable[str], at_least: int = AT_LEAST, at_most: int = AT_MOST) -> Iterator[str]:
    """Cut the concatenation of `pieces` into chunks; where it is cut depends on that text alone.

    A chunk ends at the first border (a non-blank followed by a blank) that makes it `at_least` characters long. Where
    there is none up to `at_most` characters (text without blanks), it is cut by force there: nothing is lost, and the
    same text is always cut in the same place, but a token that would have reached across is not formed. The last chunk
    is what is left. At most `at_most` characters and one piece are held.

    Raises:
        UserError: the text holds a lone surrogate (half of a UTF-16 pair), which is no character.
    """
    position = 0
    for chunk in _cut(pieces, at_least, at_most):
        yield _checked(chunk, position)
        position += len(chunk)


def _cut(pieces: Iterable[str], at_least: int, at_most: int) -> Iterator[str]:
    pending: list[str] = []
    size = 0
    for piece in pieces:
        pending.append(piece)
        size += len(piece)
        if size > at_most:  # not before: then a chunk is sure to come off, and no character is joined often
            rest = yield from _complete("".join(pending), at_least, at_most)
            pending, size = [rest], len(rest)
    rest = yield from _complete("".join(pending), at_least, at_most)
    if rest:
        yield rest


def _complete(text: str, at_least: int, at_most: int) -> Generator[str, None, str]:
    """Yield the chunks of `text` whose end no further text can change, and return the rest (`at_most` at most)."""
    start = 0
    while True:
        border = _BORDER.search(text, start + at_least - 1, start + at_most + 1)
        if border:
            end = border.end()
        elif len(text) - start > at_most:
            end = start + at_most
        else:
            return text[start:]
        yield text[start:end]
        start = end


def _checked(chunk: str, position: int) -> str:
    """`chunk` itself, whose first character is number `position` of the text."""
    try:
        chunk.encode("utf-8")
    except UnicodeEncodeError as error:
        raise UserError(
            f"the text holds U+{ord(chunk[error.start]):04X}, a lone surrogate, which is half of a character\n"
            f"it is at position {position + error.start} (counted from 0)\n"
            "remove it, or read the text again with its right encoding"
        ) from None
    return chunk
