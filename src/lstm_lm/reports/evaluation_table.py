"""A section of evaluation.json as a person reads it on the terminal: a table, and a line or two below it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lstm_lm.durations import duration
from lstm_lm.flat_keys import flat_keys


def evaluation_table(section: Mapping[str, Any]) -> list[RenderableType]:
    """What to print, one after the other."""
    return list(_TABLES.get(section["method"], _figures)(section))


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
        windows = scores["windows"]
        if windows["scored"] < windows["of"]:
            reasons[f"{split}: scored {windows['scored']:,} of {windows['of']:,} windows"] = None
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
    if (unit := section["data"]["unit"]) != "window":
        yield Text(f"{unit}s by themselves, the end of each included, as they were trained", style="dim")
    yield how(section)


def _dynamic(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    table = plain_table(section["split"], "loss", "± 95 %", "perplexity", "bits/char", "bits/byte")
    table.add_row("static", number(section["static_loss"]), "", "", "", "")
    table.add_row(
        "dynamic",
        number(section["loss"]),
        margin(section["loss_interval"]),
        number(section["perplexity"]),
        number(section["bits_per_character"]),
        number(section["bits_per_byte"]),
    )
    table.add_row("gain", number(section["gain"]), margin(section["gain_interval"]), "", "", "")
    yield table
    if section["bits_per_byte_reason"]:
        yield Text(f"no bits/byte: {section['bits_per_byte_reason']}", style="dim")
    grid = section["chosen_on"]["grid"]
    if grid:
        yield Text(
            f"chosen on {section['chosen_on']['tokens']:,} tokens of {section['chosen_on']['text']}:", style="dim"
        )
        tried = plain_table("step size", *dict.fromkeys(f"decay {one['decay']:g}" for one in grid))
        for step_size in dict.fromkeys(one["step_size"] for one in grid):
            row = [number(one["loss"]) for one in grid if one["step_size"] == step_size]
            tried.add_row(f"{step_size:g}" if step_size else "0 (static)", *row)
        yield tried
    chosen = f"step size {section['step_size']:g}, decay {section['decay']:g}; order: {section['order']}"
    yield Text(chosen, style="dim")
    yield how(section)


def _context(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    table = plain_table("context", "loss", "± 95 %", f"above {section['full_context']:,}", "± 95 %")
    for point in section["curve"]:
        table.add_row(
            f"{point['length']:,}",
            number(point["loss"]),
            margin(point["loss_interval"]),
            number(point["excess"]),
            margin(point["excess_interval"]),
        )
    yield table
    bounds = section["effective_context_interval"]
    between = "" if bounds is None else f" ({bounds[0]:,} to {bounds[1]:,})"
    yield Text(
        f"effective context: {section['effective_context']:,} tokens{between}, within "
        f"{section['tolerance']:.0%} of the loss with {section['full_context']:,}"
    )
    yield Text(f"{section['positions']:,} positions of the {section['split']} text", style="dim")
    yield how(section)


def _sampling(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    table = plain_table("tokens", "tokens/s", "ms/token", "ms for the prompt")
    speed, token = number(section["tokens_per_second"], ",.0f"), number(section["token_ms"], ",.3f")
    table.add_row(f"{section['tokens']:,}", speed, token, number(1000 * section["prompt_seconds"], ",.1f"))
    yield table
    if section["text"] is None:
        yield Text(f"no sample: {section['text_reason']}", style="dim")
    else:
        yield Text(section["options"]["prompt"] + section["text"])
    yield how(section)


def _figures(section: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Of a method that another package has added: a line for each of its figures."""
    table = plain_table(section["method"], "")
    figures = {key: value for key, value in section.items() if key not in _OF_EVERY_METHOD}
    for key, value in flat_keys(figures).items():
        if isinstance(value, (int, float, str)):
            table.add_row(Text(key), Text(number(value, ",.4f") if isinstance(value, float) else str(value)))
    yield table
    yield how(section)


def how(section: Mapping[str, Any]) -> Text:
    """The line that says how it ran, and in which type, where that is not the one that was asked for."""
    threads = "1 thread" if section["threads"] == 1 else f"{section['threads']} threads"
    what = f"{section['device']}, {threads}, {section['precision']}, {section['forward']}"
    reason = f" ({section['forward_reason']})" if "computes in" in section["forward_reason"] else ""
    return Text(f"{what}{reason}; {duration(section['seconds'])}", style="dim")


_OF_EVERY_METHOD = frozenset(
    {
        *("method", "command", "git_commit", "versions", "device", "precision", "forward", "forward_reason", "threads"),
        *("checkpoint", "data", "options", "seconds"),
    }
)
"""Of a section: what it is about, and how it was made."""

_TABLES: dict[str, Callable[[Mapping[str, Any]], Iterator[RenderableType]]] = {
    "static": _static,
    "dynamic": _dynamic,
    "context": _context,
    "sampling": _sampling,
}
