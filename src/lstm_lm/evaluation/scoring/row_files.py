"""Rows as lines of CSV or JSON."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from lstm_lm.evaluation.scoring.rows import Row
from lstm_lm.runs import atomic

Format = Literal["csv", "jsonl"]
DIGITS = 6
"""After the point: float32 losses have no more."""


def written(rows: Iterable[Row], kind: type[Row], how: Format) -> Iterator[str]:
    r"""The lines of a file, each with its `\n`: in CSV the names before the first row; in JSON an object a row."""
    if how == "jsonl":
        for row in rows:
            values = dict(zip(kind._fields, map(_rounded, row), strict=True))
            yield json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n"
        return
    for number, row in enumerate(rows):
        names = "" if number else _csv_line(kind._fields)
        yield names + _csv_line(map(_rounded, row))


def write(rows: Iterable[Row], kind: type[Row], path: Path, *, overwrite: bool) -> int:
    """Write a file, CSV or JSON as its name says, which appears when it is whole; how many rows it has.

    Raises:
        RunError: it cannot be written, or another one has come there.
    """
    how: Format = "jsonl" if path.suffix.lower() == ".jsonl" else "csv"
    count = 0
    with atomic.replacing(path, "another file: out=FILE", new=not overwrite) as file:
        for line in written(rows, kind, how):
            file.write(line.encode("utf-8", "backslashreplace"))
            count += 1
    return count


def _rounded(value: Any) -> Any:
    return round(value, DIGITS) if isinstance(value, float) else value


def _csv_line(values: Iterable[Any]) -> str:
    r"""One line, ended by `\n`; with `\r\n` as the end, every Python quotes a value that has a `\r`."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(values)
    return line.getvalue().removesuffix("\r\n") + "\n"
