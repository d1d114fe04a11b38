"""A table that fits the terminal: columns that matter least are left out first, and no name is ever broken."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_BETWEEN = 2
"""Columns of the terminal between two columns of the table."""


@dataclass(frozen=True)
class Column:
    """One column, and how it gives way."""

    title: str
    cells: Sequence[Text]
    number: bool = False
    """Whether it stands to the right."""
    goes: int = 0
    """Where there is too little room, columns with the highest number are left out first; 0: never."""

    @property
    def width(self) -> int:
        """Columns of the terminal that it takes."""
        return max((cell.cell_len for cell in (Text(self.title), *self.cells)), default=0)


@dataclass(frozen=True)
class FittingTable:
    """One line a row; the last column is a name, and stands above its row where it is too long to stand beside it.

    Empty columns are left out. To be printed with `crop=False`: a name may be longer than the terminal is wide.
    """

    columns: Sequence[Column]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich's protocol."""
        *figures, name = [column for column in self.columns if any(cell.plain for cell in column.cells)]
        kept = _kept(figures, name.width, options.max_width)
        if _width(kept) + name.width <= options.max_width:
            yield _grid([*kept, name])
            return
        kept = _kept(figures, 0, options.max_width)
        rows = console.render_lines(_grid(kept), options.update(width=_width(kept)), pad=False)
        for row, above in zip(rows, [Text(name.title, style="bold"), *name.cells], strict=True):
            yield Text(above.plain, style=above.style, overflow="ignore", no_wrap=True)
            yield Segment(" " * _BETWEEN)
            yield from row
            yield Segment.line()


def _kept(figures: Sequence[Column], beside: int, room: int) -> list[Column]:
    """Those that there is room for, and those that never go."""
    kept = list(figures)
    while _width(kept) + beside > room and (least := max((column.goes for column in kept), default=0)):
        kept.remove(next(column for column in reversed(kept) if column.goes == least))
    return kept


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width + _BETWEEN for column in columns)


def _grid(columns: Sequence[Column]) -> Table:
    grid = Table(box=None, pad_edge=False, padding=(0, _BETWEEN, 0, 0))
    for column in columns:
        grid.add_column(column.title, justify="right" if column.number else "left", no_wrap=True)
    for cells in zip(*(column.cells for column in columns), strict=True):
        grid.add_row(*cells)
    return grid
