"""A section of evaluation.json as a person reads it on the terminal: a table, and a line or two below it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text


def evaluation_table(section: Mapping[str, Any]) -> list[RenderableType]:
    """What to print, one after the other."""
    return list(_TABLES[section["method"]](section))


def margin(bounds: Any) -> str:
    """Half an interval's width, `0.0105`; `-` where there is none."""
    return "-" if bounds is None else f"{(bounds[1] - bounds[0]) / 2:.4f}"


def number(value: float | None, form: str = ",.4f") -> str:
    """`1.4806`; `-` where there is none."""
    return "-" if value is None else format(value, form)


def plain_table(*columns: str) -> Table:
    """Columns without lines, the first to the left."""
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=True)
    return table


def _static(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    table = plain_table("", "tokens", "loss", "± 95 %", "perplexity", "bits/char", "bits/byte", "tokens/s")
    reasons: dict[str, None] = {}
    for split, scores in section["splits"].items():
        table.add_row(
            split,
            f"{scores['tokens']:,}",
            number(scores["loss"]),
            margin(scores["loss_interval"]),
            number(scores["perplexity"]),
            number(scores["bits_per_character"]),
            number(scores["bits_per_byte"]),
            number((scores["speed"] or {}).get("tokens_per_second"), ",.0f"),
        )
        if scores["bits_per_byte_reason"]:
            reasons[f"{split}: no bits/byte: {scores['bits_per_byte_reason']}"] = None
    yield table
    for reason in reasons:
        yield Text(reason, style="dim")
    yield how(section)


def how(section: Mapping[str, Any]) -> Text:
    """The line that says how it ran."""
    what = f"{section['device']}, {section['threads']} threads, {section['precision']}, {section['forward']}"
    return Text(f"{what}; {section['seconds']:.1f} s", style="dim")


_TABLES: dict[str, Callable[[Mapping[str, Any]], Iterator[RenderableType]]] = {"static": _static}
