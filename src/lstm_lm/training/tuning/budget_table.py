"""What `budget=` has chosen, for people: a table of sizes, and the choice in words."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from lstm_lm.durations import duration

ROWS = 8
"""Sizes on the terminal; tuning.json has them all."""
ENDS_EARLY = 0.9
"""Less than this share of the passes that there is time for: the rule wanted no more."""


def table(rows: Sequence[dict[str, Any]]) -> Table:
    """The best sizes, and all that were timed, the best first; of losses, how much more the rule predicts (nats)."""
    found = Table(box=None, padding=(0, 1), header_style="dim", pad_edge=False)
    for column in ("size", "parameters", "ms/step", "passes", "dropout", "predicted loss"):
        found.add_column(column, justify="left" if column == "size" else "right")
    found.add_column("")
    for row in (row for place, row in enumerate(rows) if place < ROWS or row["measured"]):
        found.add_row(
            size(row),
            f"{row['parameters']:,}",
            f"{row['step_ms']:.1f}",
            _passes(row["passes"]),
            f"{row['dropout']:.1f}",
            f"{row['worse_by']:+.3f}" if row["worse_by"] else "best",
            ", ".join(filter(None, ["chosen" if row["chosen"] else "", "timed" if row["measured"] else ""])),
            style="bold" if row["chosen"] else None,
        )
    return found


def verdict(tuning: dict[str, Any]) -> str:
    """What was chosen, and why; how it is typed is in summary.json (tuning.typed), a long line."""
    chosen, _, others = tuning["reason"].partition("; ")
    measured = f"measured for {duration(tuning['seconds'])}; as typed: summary.json, tuning.typed"
    return "\n".join(filter(None, [f"budget={tuning['time']}: {chosen}", others, measured]))


def reason(rows: Sequence[dict[str, Any]], tokens: int) -> str:
    """Why the first of the rows was chosen, in words: what it sees of the text, and what a larger one would."""
    chosen = rows[0]
    said = f"{size(chosen)}, dropout {chosen['dropout']:.1f}, sees the {tokens:,} tokens {_times(chosen['passes'])}"
    if chosen["passes"] < ENDS_EARLY * chosen["affordable_passes"]:
        return f"{said}; more passes would overfit, so it ends before the time is up"
    larger = [row for row in rows if row["parameters"] > chosen["parameters"]]
    if not larger:
        return f"{said}; no larger size is tried"
    one = min(larger, key=lambda row: row["parameters"])
    if one["passes"] < chosen["passes"]:
        return f"{said}; {size(one)} would see them {_times(one['passes'])}, too few for its size"
    return f"{said}; {size(one)} would overfit more"


def size(row: dict[str, Any]) -> str:
    """`2 x 256`; of layers with widths of their own, these."""
    widths = row["hidden_size"]
    return " + ".join(map(str, widths)) if isinstance(widths, list) else f"{row['layers']} x {widths}"


def _passes(passes: float) -> str:
    return f"{passes:.0f}" if passes >= 10 else f"{passes:.1f}" if passes >= 1 else f"{passes:.2f}"


def _times(passes: float) -> str:
    return f"{_passes(passes)} times"
