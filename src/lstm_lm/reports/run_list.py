"""A list of runs, or of differences between them, as a table for people or as CSV or JSON for programs."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from lstm_lm.durations import duration
from lstm_lm.printable import escaped, printable, shortened
from lstm_lm.reports.fitting_table import Column, FittingTable
from lstm_lm.runs.configuration import Difference
from lstm_lm.runs.listing import DAMAGED, DIED, RUNNING, Entry

Format = Literal["table", "csv", "json"]

_STYLES = {RUNNING: "green", "failed": "red", DAMAGED: "red", DIED: "yellow", "interrupted": "yellow"}
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that stand for no byte of a path either: JSON can hold them, no output can."""
LONGEST = 24
"""Characters of a text's name."""


def table(entries: Sequence[Entry], now: float) -> FittingTable:
    """One line a run, what is known of it; the name comes last, where there is most room. `now`: seconds since 1970."""
    figures: list[tuple[str, int, Callable[[Entry], str]]] = [
        ("size", 0, lambda entry: "" if entry.parameters is None else short(entry.parameters)),
        ("val loss", 0, lambda entry: "" if entry.loss is None else f"{entry.loss:.4f}"),
        ("bits/byte", 1, lambda entry: "" if entry.bits_per_byte is None else f"{entry.bits_per_byte:.3f}"),
        ("tokens/s", 3, lambda entry: "" if entry.tokens_per_second is None else f"{entry.tokens_per_second:,.0f}"),
        ("age", 2, lambda entry: duration(now - entry.modified)),
    ]
    return FittingTable(
        [
            Column("status", [Text(entry.status, style=_STYLES.get(entry.status, "")) for entry in entries]),
            Column("data", [Text(shortened(printable(entry.title or entry.data or ""), LONGEST)) for entry in entries]),
            Column("model", [Text(printable(entry.model or "")) for entry in entries]),
            *(
                Column(title, [Text(figure(entry)) for entry in entries], number=True, goes=goes)
                for title, goes, figure in figures
            ),
            Column("run", [Text(printable(entry.run)) for entry in entries]),
        ]
    )


def differences_table(names: Sequence[str], rows: Iterable[Difference]) -> Table:
    """One line a key, one column a run."""
    grid = Table("key", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in names:
        grid.add_column(Text(printable(name)), overflow="fold")
    for row in rows:
        grid.add_row(Text(printable(row.key)), *(Text(printable(value)) for value in row.values))
    return grid


def as_json(entries: Iterable[Entry], now: float) -> str:
    """A list of objects, with every field of `Entry`; what is not known is null."""
    return json.dumps([_plain(entry, now) for entry in entries], indent=2)


def as_csv(entries: Iterable[Entry], now: float) -> str:
    """A line a run, with every field of `Entry`; what is not known is empty."""
    rows = [_plain(entry, now) for entry in entries]
    return _csv([list(FIELDS), *([row[name] for name in FIELDS] for row in rows)])


def differences_json(names: Sequence[str], rows: Iterable[Difference]) -> str:
    """The runs, and for each key the values in their order."""
    return json.dumps({"runs": list(names), "differences": {row.key: row.values for row in rows}}, indent=2)


def differences_csv(names: Sequence[str], rows: Iterable[Difference]) -> str:
    """A line a key, a column a run."""
    return _csv([["key", *names], *([row.key, *row.values] for row in rows)])


def short(count: int) -> str:
    """A count in three digits: `873`, `12.3 k`, `3.46 M`."""
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:#.3g}".rstrip(".") + f" {unit}"
    return str(count)


def _plain(entry: Entry, now: float) -> dict[str, Any]:
    values = asdict(entry)
    return values | {
        "path": str(entry.path),
        "modified": _date(entry.modified),
        "age": round(max(0.0, now - entry.modified), 1),
    }


def _date(seconds: float) -> str | None:
    """In ISO 8601, UTC; None: before the year 1 or after 9999, as a file system may say."""
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return None


FIELDS: Sequence[str] = (*Entry.__dataclass_fields__, "age")
"""Columns of the CSV and keys of the JSON: `modified` is in ISO 8601, UTC; `age` in seconds."""


def _csv(rows: Iterable[Sequence[object] | Mapping[str, object]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return _LONE.sub(lambda found: escaped(found[0]), text.getvalue().removesuffix("\n"))
