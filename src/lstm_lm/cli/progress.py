"""How far the work of a command is, while it works."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from lstm_lm.terminal import Terminal

Report = Callable[[str, int, int], None]
"""Called with what is being done, how many of its parts are done, and how many there are."""


@contextmanager
def progress() -> Iterator[Report]:
    """A line that says how far the work is, and goes away after it; none where standard error is no terminal."""
    console = Terminal(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    tasks: dict[str, Any] = {}

    def report(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done, visible=done < total)

    with bar:
        yield report
