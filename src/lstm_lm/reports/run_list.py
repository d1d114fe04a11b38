"""A list of runs, or of differences between them, as a table for people or as CSV or JSON for programs."""

import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

from lstm_lm.printable import escaped, printable
from lstm_lm.runs.configuration import Difference
from lstm_lm.runs.listing import DAMAGED, DIED, RUNNING, Entry

Format = Literal["table", "csv", "json"]

_STYLES = {RUNNING: "green", "failed": "red", DAMAGED: "red", DIED: "yellow", "interrupted": "yellow"}
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that stand for no byte of a path either: JSON can hold them, no output can."""
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def table(entries: Iterable[Entry], now: float) -> Table:
    """One line a run, what is known of it; the name comes last, where there is most room. `now`: seconds since 1970."""
    grid = Table("status", "data", "model", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("size", "val loss", "bits/byte", "tokens/s", "age"):
        grid.add_column(heading, justify="right", no_wrap=True)
    grid.add_column("run", overflow="fold")
    for entry in entries:
        grid.add_row(
            Text(entry.status, style=_STYLES.get(entry.status, "")),
            Text(printable(entry.data or "")),
            Text(printable(entry.model or "")),
            "" if entry.parameters is None else short(entry.parameters),
            "" if entry.loss is None else f"{entry.loss:.4f}",
            "" if entry.bits_per_byte is None else f"{entry.bits_per_byte:.3f}",
            "" if entry.tokens_per_second is None else f"{entry.tokens_per_second:,.0f}",
            age(now - entry.modified),
            Text(printable(entry.run)),
        )
    return grid


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


def age(seconds: float) -> str:
    """In its largest unit: `2 d`, `5 h`, `12 min`, `8 s`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


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
