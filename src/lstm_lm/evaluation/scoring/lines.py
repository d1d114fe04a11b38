"""The lines of a text, as it comes."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lstm_lm.data.piped_text import ReadableText
from lstm_lm.errors import UserError

MOST_CHARACTERS = 1 << 20
"""Of a line: what bounds the memory on a text without line ends."""


class GivenLines:
    """Lines that somebody has one by one, as a text."""

    def __init__(self, lines: Iterable[str], label: str) -> None:
        self._lines = lines
        self._label = label

    @property
    def label(self) -> str:
        """What to call the text in a message."""
        return self._label

    def pieces(self) -> Iterator[str]:
        """Each line with its end.

        Raises:
            UserError: one of them has a newline in it.
        """
        for number, line in enumerate(self._lines, 1):
            if "\n" in line:
                raise UserError(f"{self._label}, line {number}: has a newline in it\ngive each line without its end")
            yield f"{line}\n"


class Line(NamedTuple):
    """A line, without the newline that ends it."""

    number: int
    """Counted from 1, blank lines too."""
    text: str


def lines_of(source: ReadableText) -> Iterator[Line]:
    r"""Every line; what follows the last newline is one if it is not empty. A `\r` before a newline is the line's.

    Raises:
        UserError: the text cannot be read, or a line has more than MOST_CHARACTERS.
    """
    begun: list[str] = []
    length, number = 0, 1
    for piece in source.pieces():
        first, *others = piece.split("\n")
        begun.append(first)
        length += len(first)
        for following in others:
            yield Line(number, _checked("".join(begun), number, source.label))
            begun, length, number = [following], len(following), number + 1
        if length > MOST_CHARACTERS:
            raise _too_long(number, source.label)
    if last := "".join(begun):
        yield Line(number, _checked(last, number, source.label))


def _checked(text: str, number: int, label: str) -> str:
    if len(text) > MOST_CHARACTERS:
        raise _too_long(number, label)
    return text


def _too_long(number: int, label: str) -> UserError:
    return UserError(
        f"{label}, line {number}: more than {MOST_CHARACTERS:,} characters, which is no line\n"
        "score the text as a whole: unit=text"
    )
