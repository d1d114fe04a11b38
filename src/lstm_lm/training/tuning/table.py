"""What tuning has found, for people: a table on the terminal, the same as text for TensorBoard."""

import io
import json
import math
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lm.durations import duration
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.runs.summary import TuningSummary
from lstm_lm.training.tuning import budget_table

WIDTH_AS_TEXT = 140
OUT_OF_TIME = ("no time was left", "too little time was left")
"""Notes of `race` and `speed` on what was not tried."""
ROWS = 12
"""Of the learning rates that were tried, on the terminal; tuning.json has them all."""


def show(tuning: dict[str, Any], console: Console) -> None:
    """Print the record of a tuning (see `tune_speed`, `tune_learning_rate`, `tune_budget`)."""
    if tuning["table"]:
        tables = {"speed": _speed_table, "lr": _rate_table, "budget": budget_table.table}
        console.print(tables[tuning["name"]](tuning["table"]))
    for line in verdict(tuning).splitlines():
        console.print(Text(line), soft_wrap=line == tuning.get("typed"))  # to be copied


def as_json(tuning: dict[str, Any]) -> str:
    """The content of tuning.json: all of the record."""
    return json.dumps(tuning, indent=2) + "\n"


def as_text(tuning: dict[str, Any]) -> str:
    """The same, without colours."""
    written = io.StringIO()
    show(tuning, Console(file=written, width=WIDTH_AS_TEXT, color_system=None, highlight=False))
    return written.getvalue()


def log(tuning: dict[str, Any], logger: NoWriter, step: int) -> None:
    """Show it in TensorBoard; of `tune=lr` the curve too, by steps of the search."""
    logger.text("tuning", as_text(tuning), step)
    if tuning["name"] == "lr":
        for name in ("learning_rate", "loss"):
            logger.curve(f"tune/{name}", [row[name] for row in tuning["table"]])


def summary(tuning: dict[str, Any] | None) -> TuningSummary | None:
    """For summary.json."""
    if tuning is None:
        return None
    return TuningSummary(
        name=tuning["name"],
        chosen=tuning["chosen"],
        seconds=tuning["seconds"],
        speedup=tuning.get("speedup"),
        learning_rate=tuning.get("proposal"),
        reason=tuning.get("reason"),
        typed=tuning.get("typed"),
    )


def verdict(tuning: dict[str, Any]) -> str:
    """What was chosen, and how to type it: a line of its own, where that is long."""
    if tuning["name"] == "lr":
        return _rate_verdict(tuning)
    if tuning["name"] == "budget":
        return budget_table.verdict(tuning)
    if not tuning["typed"]:
        return "tune=speed: nothing was chosen; the run continues as without tuning"
    faster = f"{tuning['speedup']:.2f} times as fast as without tuning; " if tuning.get("speedup") else ""
    took = f"{faster}{_coverage(tuning['table'])} in {duration(tuning['seconds'])}"
    return f"tune=speed: {took}\n{tuning['typed']}"


def _coverage(rows: list[dict[str, Any]]) -> str:
    """How many were timed of the ways that can run here: what was not tried may be faster."""
    able = [row for row in rows if row["outcome"] != "unable"]
    timed = sum(row["step_ms"] is not None for row in able)
    if timed == len(able):
        return f"all {timed} ways timed"
    more = "; tune.max_seconds= gives it more time" if any(row["note"] in OUT_OF_TIME for row in able) else ""
    return f"{timed} of {len(able)} ways timed{more}"


def _speed_table(rows: list[dict[str, Any]]) -> Table:
    table = _empty(("precision", "forward", "compile"), ("threads", "ms/step", "speed"), ("",))
    untuned = next((row["step_ms"] for row in rows if row["untuned"]), None)
    for row in rows:
        step = row["step_ms"]
        table.add_row(
            row["precision"],
            row["forward"],
            row["compile"],
            str(row["threads"]),
            "" if step is None else f"{step:.2f}",
            "" if step is None or untuned is None else f"{untuned / step:.2f}x",
            Text("; ".join(filter(None, [_outcome(row), row["note"]])), overflow="fold"),
            style="bold" if row["chosen"] else None,
        )
    return table


def _rate_table(rows: list[dict[str, Any]]) -> Table:
    table = _empty((), ("learning rate", "loss"), ())
    for row in rows[:: math.ceil(len(rows) / ROWS)]:
        table.add_row(f"{row['learning_rate']:.1e}", "no number" if row["loss"] is None else f"{row['loss']:.3f}")
    return table


def _empty(words: tuple[str, ...], numbers: tuple[str, ...], notes: tuple[str, ...]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for column in (*words, *numbers, *notes):
        table.add_column(column, justify="right" if column in numbers else "left")
    return table


def _rate_verdict(tuning: dict[str, Any]) -> str:
    note = f" ({tuning['note']})" if tuning["note"] else ""
    if tuning["proposal"] is None:
        return f"tune=lr: no proposal{note}; the run keeps optimizer.lr as it is"
    what = "takes" if tuning["chosen"] else "proposes"
    further = "" if tuning["chosen"] else "; this run keeps optimizer.lr as it is (tune.apply=true takes it)"
    return f"tune=lr: {what} {tuning['typed']}{note}{further}"


def _outcome(row: dict[str, Any]) -> str:
    words = [
        "chosen" if row["chosen"] else "",
        "without tuning" if row["untuned"] else "",
        "" if row["compile_seconds"] is None else f"compiled in {duration(row['compile_seconds'])}",
        {"unable": "cannot run here", "failed": "failed", "not tried": "not tried"}.get(row["outcome"], ""),
    ]
    return ", ".join(filter(None, words))
