"""The one console that commands print with: text is text, whoever wrote it."""

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from lstm_lm.printable import printable_text


def in_notebook() -> bool:
    """Whether this process runs the cells of a notebook: in Jupyter, VS Code, Colab, ..., as Rich finds out."""
    return Console().is_jupyter


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
