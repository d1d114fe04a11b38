"""The lines of a text, as it comes."""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from lstm_lm.data.piped_text import ReadableText
from lstm_lm.errors import UserError
from lstm_lm.tokenizers.interface import ROW_END

Noun = Literal["line", "row"]
"""What a text is scored by: its lines, or where it comes from tables, their rows."""
ENDS: dict[Noun, str] = {"line": "\n", "row": ROW_END}
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
    """A line, without the newline that ends it; or a row of a table, which may have newlines in it."""

    number: int
    """Counted from 1, blank ones too."""
    text: str


def lines_of(source: ReadableText, noun: Noun = "line") -> Iterator[Line]:
    r"""Every line; what follows the last newline is one if it is not empty. A `\r` before a newline is the line's.

    Raises:
        UserError: the text cannot be read, or a line (a row) has more than MOST_CHARACTERS.
    """
    end = ENDS[noun]
    begun: list[str] = []
    length, number = 0, 1
    for piece in source.pieces():
        first, *others = piece.split(end)
        begun.append(first)
        length += len(first)
        for following in others:
            yield Line(number, _checked("".join(begun), number, source.label, noun))
            begun, length, number = [following], len(following), number + 1
        if length > MOST_CHARACTERS:
            raise _too_long(number, source.label, noun)
    if last := "".join(begun):
        yield Line(number, _checked(last, number, source.label, noun))


def _checked(text: str, number: int, label: str, noun: Noun) -> str:
    if len(text) > MOST_CHARACTERS:
        raise _too_long(number, label, noun)
    return text


def _too_long(number: int, label: str, noun: Noun) -> UserError:
    what, remedy = "which is no line", "score the text as a whole: unit=text"
    if noun == "row":
        what, remedy = "the most that are scored at once", "cut it into several rows"
    return UserError(f"{label}, {noun} {number}: more than {MOST_CHARACTERS:,} characters, {what}\n{remedy}")
