"""What tuning has found, for people: a table on the terminal, the same as text for TensorBoard."""

import io
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lm.runs.summary import TuningSummary
from lstm_lm.training.run_logger import RunLogger

WIDTH_AS_TEXT = 140


def show(tuning: dict[str, Any], console: Console) -> None:
    """Print the record of a tuning (see `speed.record`, `learning_rate.record`)."""
    if tuning["name"] == "speed":
        console.print(_speed_table(tuning))
    console.print(Text(verdict(tuning)), soft_wrap=True)


def as_text(tuning: dict[str, Any]) -> str:
    """The same, without colours."""
    written = io.StringIO()
    show(tuning, Console(file=written, width=WIDTH_AS_TEXT, color_system=None, highlight=False))
    return written.getvalue()


def log(tuning: dict[str, Any], logger: RunLogger, step: int) -> None:
    """Show it in TensorBoard."""
    logger.log_text("tuning", as_text(tuning), step)


def summary(tuning: dict[str, Any] | None) -> TuningSummary | None:
    """For summary.json."""
    if tuning is None:
        return None
    return TuningSummary(
        name=tuning["name"], chosen=tuning["chosen"], seconds=tuning["seconds"], speedup=tuning.get("speedup")
    )


def verdict(tuning: dict[str, Any]) -> str:
    """One line: what was chosen, and how to type it."""
    if not tuning["typed"]:
        return f"tune={tuning['name']}: nothing was chosen; the run goes on as without tuning"
    faster = f", {tuning['speedup']:.2f} times as fast as without tuning" if tuning.get("speedup") else ""
    return f"tune=speed: {tuning['typed']}{faster} ({tuning['seconds']:.0f} s)"


def _speed_table(tuning: dict[str, Any]) -> Table:
    rows = tuning["table"]
    table = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for column in ("precision", "forward", "compile", "threads", "ms/step", "speed", ""):
        table.add_column(column, justify="right" if column in ("threads", "ms/step", "speed") else "left")
    untuned = next((row["step_ms"] for row in rows if row["untuned"]), None)
    for row in rows:
        step = row["step_ms"]
        speed = "" if step is None or untuned is None else f"{untuned / step:.2f}x"
        words = [word for word in (_told(row), row["note"]) if word]
        table.add_row(
            row["precision"],
            row["forward"],
            row["compile"],
            str(row["threads"]),
            "" if step is None else f"{step:.2f}",
            speed,
            Text("; ".join(words), overflow="fold"),
            style="bold" if row["chosen"] else None,
        )
    return table


def _told(row: dict[str, Any]) -> str:
    words: list[str] = []
    if row["chosen"]:
        words.append("chosen")
    if row["untuned"]:
        words.append("without tuning")
    if row["compile_seconds"] is not None:
        words.append(f"compiled in {row['compile_seconds']:.0f} s")
    if row["outcome"] in ("unable", "failed", "not tried"):
        words.append({"unable": "cannot run here", "failed": "failed", "not tried": "not tried"}[row["outcome"]])
    return ", ".join(words)
