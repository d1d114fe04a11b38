"""A run's progress in a notebook: one output of the cell, replaced in place, so that a saved notebook holds it once."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.jupyter import JupyterMixin
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from lstm_lm.training.observers.excerpt import Excerpt
from lstm_lm.training.observers.progress import ProgressLine

MOST_ROWS = 20
"""Validations that are shown, the newest ones; metrics.csv has all."""


class NotebookProgress(ProgressLine):
    """A table of validations; below it, while the run trains, the newest sample and the bar.

    Rich's own live display would need ipywidgets, and shows nothing in a notebook that is saved and read elsewhere.
    IPython replaces an output by its handle wherever notebooks run.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._output = _Output()

    def show_sample(self, sample: Excerpt) -> None:
        """In place of the one before."""
        self._output.sample = sample
        self._output.replace()

    def _can_replace(self) -> bool:
        return True

    def _start(self, bar: Progress) -> None:
        self._output.bar = bar
        self._output.replace()

    def _redraw(self, bar: Progress) -> None:
        self._output.replace()

    def _end(self, bar: Progress) -> None:
        self._output.bar = self._output.sample = None
        self._output.replace()

    def _add_validation(self, step: int, train: float | None, val: float, tokens_per_second: float | None) -> None:
        self._output.rows.append(
            (
                f"{step:,}",
                "-" if train is None else f"{train:.4f}",
                f"{val:.4f}",
                "-" if tokens_per_second is None else f"{tokens_per_second:,.0f}",
            )
        )
        self._output.replace()


class _Output(JupyterMixin):
    """What a cell shows of a run's progress."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, ...]] = []
        self.sample: Excerpt | None = None
        self.bar: Progress | None = None
        self._handle: Any = None

    def replace(self) -> None:
        """Show it as it is now, where it was shown before."""
        from IPython.display import display  # there is one where there is a notebook

        if self._handle is None:
            self._handle = display(self, display_id=True)
        else:
            self._handle.update(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        if len(self.rows) > MOST_ROWS:
            yield Text(f"{len(self.rows) - MOST_ROWS:,} earlier validations are in metrics.csv", style="dim")
        if self.rows:
            table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=False)
            for column in ("step", "train loss", "validation loss", "tokens/s"):
                table.add_column(column, justify="right")
            for row in self.rows[-MOST_ROWS:]:
                table.add_row(*row)
            yield table
        yield from (part for part in (self.sample, self.bar) if part is not None)
