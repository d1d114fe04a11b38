"""The one console that commands print with: text is text, whoever wrote it."""

import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from lstm_lm.printable import printable_text
from lstm_lm.wrapping import wrapped

LOGGED = "LSTM_LM_LOGGED"
"""In the environment of a process whose standard output is its log; on standard error somebody looks on."""
LABEL = 8
"""Columns of what stands before a line: those below each other begin at one place."""


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook: in Jupyter, VS Code, Colab, ..., as Rich finds out."""
    return Console().is_jupyter


def moving(console: Console) -> Console:
    """Where what moves is drawn: on `console`, but for a process that has LOGGED, whose output nobody sees move."""
    return Terminal(stderr=True) if LOGGED in os.environ else console


class Terminal(Console):
    """Rich's, which takes `[red]` in a text for a colour, and sends a terminal whatever a text tells it; this does not.

    Names of files, reasons in a summary, what a model writes: any of them may come from somebody else.
    """

    def __init__(self, **how: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """As in `Console`; all that is printed comes by here, Rich's own control sequences apart from text."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield segment._replace(text=printable_text(segment.text))


def say(console: Console, text: str, style: str = "") -> None:
    """Print `text`, broken between words where it is too wide, and nowhere else."""
    for line in wrapped(text, console.width):
        console.print(Text(line, style=style), soft_wrap=True)


def say_labelled(console: Console, label: str, text: str, width: int = LABEL) -> None:
    """Print `text` behind `label`, which takes `width` columns; what is broken goes on below its beginning."""
    for place, line in enumerate(wrapped(text, console.width - width)):
        console.print(Text.assemble((("" if place else label).ljust(width), "dim"), line), soft_wrap=True)


def say_whole(console: Console, label: str, whole: str, after: str = "", width: int = LABEL) -> None:
    """Print a path or command that somebody may copy, never broken: alone on its line where all are too wide for one.

    Args:
        console: where to.
        label: stands before it, in `width` columns or more.
        whole: the path or command.
        after: what there is to say of it.
        width: 0: without a label.
    """
    before = Text(f"{label:{width - 1}} " if width else "", style="dim")
    line = Text.assemble(before, whole, f": {after}" if after else "")
    fits = line.cell_len <= console.width
    if not fits and label:
        say(console, label, "dim")
    console.print(line if fits else Text(whole), soft_wrap=True)
    if not fits and after:
        say(console, after)
