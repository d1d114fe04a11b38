"""Tables as documents: the text of a column, row by row, whatever is in it; JSON lines, CSV and Parquet.

Behind each row comes ROW_END, a zero character, which nothing else in this project can hold: a file with one is no text
(`decoding.py`), and a row with one is refused here. So rows are found again in the stream, and in tokens, whatever
newlines, blank lines or separators their texts have.
"""

import csv
import json
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple

from lstm_lm.data import packed
from lstm_lm.errors import UserError
from lstm_lm.printable import printable, shortened, shown
from lstm_lm.tokenizers.interface import ROW_END

Kind = Literal["jsonl", "csv", "tsv", "parquet"]
_KINDS: dict[str, Kind] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
SUFFIXES = tuple(_KINDS)
"""What the names of tables end with; packed ones with what is in `packed.SUFFIXES` behind it, but for Parquet's."""
MOST_CHARACTERS = 1 << 26
"""Of a line or a field, which is held in memory."""
LOOKED_AT = 100
"""Rows of JSON lines whose keys are the columns that a message names."""
_NAMED = 8
"""Columns, and rows without a text, that a message names."""
_HALF = re.compile(r"[\ud800-\udfff]")

log = logging.getLogger(__name__)


class Row(NamedTuple):
    """A row as a file has it."""

    place: str
    """For messages: `line 7`, `row 7`."""
    value: Any
    """What the column holds; None: nothing."""


class Columns(NamedTuple):
    """Those of a file."""

    all: Sequence[str]
    text: Sequence[str]
    """Those that hold text, where that can be told."""

    def __str__(self) -> str:
        shown_ = [shown(name) for name in (self.text or self.all)]
        return ", ".join(shown_[:_NAMED]) + (", ..." if len(shown_) > _NAMED else "") if shown_ else "none"


def kind_of(path: Path) -> Kind | None:
    """What kind of table a file is by its name; None: none."""
    return _KINDS.get(packed.unpacked_name(path).suffix.lower())


def columns(kind: Kind, path: Path, pieces: Iterator[str], wanted: str | None = None) -> Columns:
    """The columns of a table, by its first rows or its schema.

    Args:
        kind: of table.
        path: the file; of Parquet it is read, and then `pieces` are not.
        pieces: its text.
        wanted: of JSON lines, a key that is looked for behind the first rows, too, up to a row that has it.

    Raises:
        UserError: it cannot be read as such a table.
    """
    if kind == "parquet":
        from lstm_lm.data import parquet

        return Columns(*parquet.columns(path))
    label = str(path)
    if kind != "jsonl":
        header = next(_records(kind, pieces, label), (0, []))[1]
        return Columns(header, header)
    names: dict[str, bool] = {}
    objects = (values for _, values in _objects(pieces, label))
    for values in islice(objects, LOOKED_AT):
        for name, value in values.items():
            names[name] = names.get(name, False) or isinstance(value, str)
    if wanted is not None and wanted not in names and any(wanted in values for values in objects):
        names[wanted] = True
    return Columns(list(names), [name for name, is_text in names.items() if is_text])


def check_column(kind: Kind, path: Path, pieces: Iterator[str], column: str) -> None:
    """Refuse a column that a table does not have: no header or schema, or of JSON lines no row, names it.

    Raises:
        UserError: there is none of that name, or several; the table cannot be read.
    """
    found = columns(kind, path, pieces, column)
    if found.all.count(column) == 1:
        return
    what = "several columns" if column in found.all else "no column"
    raise UserError(f"data.column={shown(column)}: {what} of that name in {path}\nits columns of text: {found}")


def columns_of_text(kind: Kind, path: Path, pieces: Iterator[str]) -> str:
    """The columns of text of what may be a table, for a message; none where it is not one."""
    try:
        found = columns(kind, path, pieces)
    except UserError:
        return ""
    return str(found) if found.text else ""


def rows(kind: Kind, path: Path, pieces: Iterator[str], column: str, *, quiet: bool = False) -> Iterator[str]:
    """The text of each row in its order, each with ROW_END behind it; of one without a value, nothing but that.

    Args:
        kind: of table.
        path: the file; of Parquet it is read, and then `pieces` are not.
        pieces: its text.
        column: the name of the column.
        quiet: whether a warning would be the second one of rows without a value.

    Raises:
        UserError: the file cannot be read as such a table; what a row holds is no text.
    """
    label = str(path)
    empty: list[str] = []
    without = 0
    for place, value in _rows(kind, path, pieces, column):
        if value is None:
            without += 1
            if len(empty) < _NAMED:
                empty.append(place)
            yield ROW_END
            continue
        yield f"{_checked(value, label, place, column)}{ROW_END}"
    if without and not quiet:
        more = ", ..." if without > len(empty) else ""
        log.warning(
            "%s: without a value in %s, and left out as blank ones are: %s (%s)",
            printable(label),
            shown(column),
            f"{without:,} row{'s' if without > 1 else ''}",
            ", ".join(empty) + more,
        )


def _rows(kind: Kind, path: Path, pieces: Iterator[str], column: str) -> Iterator[Row]:
    label = str(path)
    if kind == "parquet":
        from lstm_lm.data import parquet

        yield from (Row(f"row {number}", value) for number, value in enumerate(parquet.values(path, column), 1))
    elif kind == "jsonl":
        yield from (Row(f"line {number}", values.get(column)) for number, values in _objects(pieces, label))
    else:
        records = _records(kind, pieces, label)
        header = next(records, (0, []))[1]  # none: nothing was packed
        if header and column not in header:
            raise UserError(f"{label}: has no column {shown(column)} any more\nstart again once nothing writes to it")
        place = header.index(column) if header else 0
        yield from (Row(f"line {number}", fields[place]) for number, fields in records)


def _checked(value: Any, label: str, place: str, column: str) -> str:
    where = f"{label}, {place}: "
    if not isinstance(value, str):
        held = printable(shortened(json.dumps(value, default=repr), 40))
        raise UserError(
            f"{where}column {shown(column)} holds {held}, which is no text\nname another column: data.column=NAME"
        )
    if ROW_END in value:
        raise UserError(f"{where}has a zero character (U+0000), which no text has\ntake it out of the row")
    if not value.isascii() and (half := _HALF.search(value)):
        raise UserError(
            f"{where}has U+{ord(half[0]):04X}, a lone surrogate, which is half of a character\ntake it out of the row"
        )
    return value


def _objects(pieces: Iterable[str], label: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of JSON lines, with the numbers of their lines; blank lines are none."""
    for number, line in enumerate(_lines(pieces, label), 1):
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = (
                f"{error.msg} at character {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            )
            raise _no_object(label, number, reason) from None
        if not isinstance(values, dict):
            raise _no_object(label, number, f"a {type(values).__name__}, not an object")
        yield number, values


def _no_object(label: str, number: int, reason: str) -> UserError:
    return UserError(f'{label}, line {number}: no JSON object ({reason:.80})\neach line must be one: {{"text": "..."}}')


def _records(kind: Kind, pieces: Iterable[str], label: str) -> Iterator[tuple[int, list[str]]]:
    """The records of a CSV file, the header first, with the number of the line that each ends in; blank lines are none.

    Raises:
        UserError: it is none, or a record has more or fewer fields than the header.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MOST_CHARACTERS))  # of the whole process; it is 128 KiB at first
    reader = csv.reader(_lines(pieces, label), delimiter="\t" if kind == "tsv" else ",", strict=True)
    width: int | None = None
    while True:
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise UserError(
                f"{label}, line {reader.line_num}: not {kind.upper()} ({error})\n"
                'a field with a separator, a quote or a newline in it stands in quotes: "He said ""no"""'
            ) from None
        if fields is None:
            return
        if not fields:
            continue
        if width is not None and len(fields) != width:
            raise UserError(
                f"{label}, line {reader.line_num}: {len(fields)} fields, where the header has {width}\n"
                'a field with a separator, a quote or a newline in it stands in quotes: "He said ""no"""'
            )
        width = len(fields)
        yield reader.line_num, fields


def _lines(pieces: Iterable[str], label: str) -> Iterator[str]:
    """The lines with their ends."""
    begun: list[str] = []
    length = 0
    for piece in pieces:
        *whole, rest = piece.split("\n")
        for line in whole:
            yield "".join([*begun, line, "\n"])
            begun, length = [], 0
        begun.append(rest)
        length += len(rest)
        if length > MOST_CHARACTERS:
            raise UserError(f"{label}: a line of more than {MOST_CHARACTERS:,} characters\nwrite one row a line")
    if last := "".join(begun):
        yield last
