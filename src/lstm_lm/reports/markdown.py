"""Markdown from figures: tables, and how a median, a spread and a ratio are written."""

from collections.abc import Sequence
from dataclasses import dataclass

from lstm_lm.reports.spread import Measured, Ratio

NOTHING = "-"


@dataclass(frozen=True)
class Column:
    """A figure of every row, in a table: median and spread over the repetitions."""

    figure: str
    """Its dotted name in `summary.json`, or `evaluation.` and that in `evaluation.json`: `train.step_ms`."""
    title: str
    """With its unit."""
    pattern: str = "{:,.1f}"
    """How a number is written."""
    scale: float = 1.0
    """What the figure is multiplied by."""


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A table; its first `left` columns are aligned left, the others right."""
    rule = ["---" if index < left else "---:" for index in range(len(header))]
    return "\n".join(f"| {' | '.join(map(_cell, cells))} |" for cells in (header, rule, *rows))


def spread(value: Measured | None, column: Column) -> str:
    """`12.3 (12.1..12.9)`: median and extremes; the median alone where all are alike."""
    if value is None:
        return NOTHING
    median, low, high = (
        column.pattern.format(number * column.scale) for number in (value.median, value.low, value.high)
    )
    return median if low == high else f"{median} ({low}..{high})"


def ratio(value: Ratio | None) -> str:
    """`1.35 (1.30..1.41)`, or that there is no difference outside the noise."""
    if value is None:
        return NOTHING
    if value.low is None or value.high is None:
        return f"{value.median:.2f} (one repetition: nothing concluded)"
    interval = f"({value.low:.2f}..{value.high:.2f})"
    return f"**{value.median:.2f}** {interval}" if value.differs else f"no difference measured {interval}"


def times_as_fast(value: Ratio | None, contender: str, other: str) -> str | None:
    """A sentence on the ratio of two speeds; None where there is none."""
    if value is None:
        return None
    if value.low is None or value.high is None:
        return (
            f"{contender} against {other}: {value.median:.2f} times its speed in one repetition: nothing is concluded."
        )
    interval = f"(95 % interval {value.low:.2f} to {value.high:.2f}, {value.count} repetitions)"
    if not value.differs:
        return f"{contender} against {other}: no difference measured {interval}."
    return f"{contender} has **{value.median:.2f} times** the speed of {other} {interval}."


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
