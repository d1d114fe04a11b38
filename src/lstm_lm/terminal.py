"""The one console that commands print with: text is text, whoever wrote it."""

import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from lstm_lm.display import Display
from lstm_lm.printable import printable_text

LOGGED = {"LSTM_LM_LOGGED": "1"}
"""In the environment of a process whose standard output is its log; on standard error somebody looks on."""


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook: in Jupyter, VS Code, Colab, ..., as Rich finds out."""
    return Console().is_jupyter


def moving(console: Console) -> Console:
    """Where what moves is drawn: on `console`, but for a process that has LOGGED, whose output nobody sees move."""
    if not all(os.environ.get(name) == value for name, value in LOGGED.items()):
        return console
    return Terminal(file=cast(TextIO, Display(sys.stderr)))  # a terminal that hangs up ends no run


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
