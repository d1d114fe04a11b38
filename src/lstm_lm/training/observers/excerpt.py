"""A few lines of a sample: enough to see what a model has learnt, few enough to stay out of the way."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from lstm_lm.printable import printable_text

LINES = 3
"""While a run trains."""
_BETWEEN = " | "
_BEGINNING = 40
"""Characters among which the first word's end is looked for, where a text begins within a word."""


@dataclass(frozen=True)
class Excerpt:
    """What is shown of a sample, as wide as there is room: its first lines that are not blank, behind a label."""

    text: str
    """What a model has written."""
    label: str = ""
    lines: int = LINES
    """How many at most."""
    begins: bool = True
    """Whether it begins where a word does; else the rest of a word at its beginning is left out."""
    units: bool = False
    """Whether its lines are texts of their own: then as many of them stand side by side as there is room for."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Rich's protocol."""
        shown = printable_text(self.text).expandtabs(4)
        if not self.begins and (rest := _behind_a_word(shown)):
            shown = rest
        room = max(10, options.max_width - len(self.label) - len(_BETWEEN))
        rows = _side_by_side(shown, room) if self.units else _wrapped(shown, room)
        for number, row in zip(range(self.lines), rows, strict=False):
            label = self.label if number == 0 else " " * len(self.label)
            yield Text.assemble((f"{label}{_BETWEEN if label else '| '}", "dim"), row, overflow="fold")


def _behind_a_word(text: str) -> str:
    place = next((number for number, character in enumerate(text[:_BEGINNING]) if character.isspace()), 0)
    return text[place:].lstrip()


def _wrapped(text: str, room: int) -> Iterator[str]:
    for line in text.splitlines():
        if line.strip():
            yield from textwrap.wrap(line.rstrip(), room, drop_whitespace=True) or []


def _side_by_side(text: str, room: int) -> Iterator[str]:
    row = ""
    for line in filter(None, map(str.strip, text.splitlines())):
        longer = f"{row}{_BETWEEN}{line}" if row else line
        if row and len(longer) > room:
            yield row
            longer = line
        row = longer[:room]
    if row:
        yield row
