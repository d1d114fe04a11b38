"""`metrics.csv`: one row per logged step, each step once, through any number of interruptions and resumes."""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from lstm_lm.errors import UserError
from lstm_lm.runs import atomic
from lstm_lm.runs.regular_file import open_regular, read_regular

STEP = "step"

MOST_BYTES = 256 * 2**20
"""Of a whole file: a million rows and more. Beyond it, and beyond what follows, something else has written it."""
LONGEST_LINE = 2**18
MOST_COLUMNS = 1_000
MOST_VALUES = 2**24
"""In a list of all rows."""

Row = dict[str, float]
"""`step` and the values logged there, by column name; integers stay `int`; columns without a value are left out."""


class MetricsFile:
    """The writer. Continues the file that is there, less a last line that a killed process left half-written.

    Values of the newest step wait in memory until a later step comes or `flush` is called, so that training and
    validation of one step share a row. A row is one append; only three rare things rewrite the file (atomically):
    a new column, a value for a step that is already on the disk, and `truncate_after`.
    """

    def __init__(self, path: Path) -> None:
        """Open `path`, which need not exist yet, but its folder must.

        Raises:
            UserError: the file cannot be read, or is not a metrics file.
            RunError: its half-written last line cannot be taken away.
        """
        self.path = path
        self._columns: list[str] = []
        self._last_written: int | None = None
        self._waiting = []
        self._open = {}
        self._unsynced = False
        if path.exists():
            reader = _Reader(path)
            for row in reader:
                self._last_written = int(row[STEP])
            self._columns = reader.columns
            if reader.is_cut_off:
                atomic.write_bytes(path, read_regular(path, MOST_BYTES)[: reader.whole_bytes])

    @property
    def open_row(self):
        return dict(self._open)

    def resume_at(self, step, saved):
        rows = self._rows()
        keep = [row for row in rows if row[STEP] < step]
        here = next((row for row in rows if row[STEP] == step), {})
        if len(keep) < len(rows):
            self._rewrite(self._columns, keep)
        self._open = {**saved, **here}
        if self._open:
            self._open[STEP] = step
        return self.open_row

    def add(self, step, values):
        if self._open and step < self._open[STEP]:
            raise ValueError(step)
        if self._open and step > self._open[STEP]:
            self._waiting.append(self._open)
            self._open = {}
        self._open[STEP] = step
        self._open.update({k: _plain(v) for k, v in values.items()})
        self._write()

    def sync(self, *, open_row):
        if open_row and self._open:
            self._waiting.append(self._open)
            self._open = {}
        self._write()

    def _write(self):
        if not self._waiting:
            return
        cols = list(dict.fromkeys([*(self._columns or [STEP]), *(n for r in self._waiting for n in r)]))
        if cols != self._columns or not self.path.exists():
            self._rewrite(cols, [*self._rows(), *self._waiting])
        else:
            self._append(_csv(_cells(cols, row) for row in self._waiting))
        self._waiting = []

    def _rows(self) -> list[Row]:
        return read(self.path) if self.path.exists() else []

    def _rewrite(self, columns: list[str], rows: list[Row]) -> None:
        atomic.write_bytes(self.path, _csv([columns, *(_cells(columns, row) for row in rows)]))
        self._columns = columns

    def _append(self, line: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(line)


def read(path: Path) -> list[Row]:
    """All rows of a metrics file, in order of their steps; a half-written last line is left out. Changes nothing.

    Raises:
        UserError: the file is missing, cannot be read, is not a metrics file, or too large to be held in memory.
    """
    found: list[Row] = []
    values = 0
    for row in rows(path):
        values += len(row)
        if values > MOST_VALUES:
            raise UserError(f"{path}: more than {MOST_VALUES:,} values, too many to be held in memory")
        found.append(row)
    return found


def rows(path: Path) -> Iterator[Row]:
    """The same, one by one: however many there are, they take no memory.

    Raises:
        UserError: as `read`; rows before a damaged line have been handed out by then.
    """
    yield from _Reader(path)


class _Reader:
    """Goes through a file once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.columns: list[str] = []
        """Known from the first row on; none where there is not even a header."""
        self.whole_bytes = 0
        """Of lines so far that have their end."""
        self.is_cut_off = False
        """Whether the last line lacks its end, known at the end."""

    def __iter__(self) -> Iterator[Row]:
        try:
            with open_regular(self._path) as file:
                yield from self._parsed(file)
        except OSError as error:
            raise UserError(f"{self._path}: cannot be read: {error.strerror or error}") from error

    def _parsed(self, file: IO[bytes]) -> Iterator[Row]:
        # Names hold no line ends, so a line of the file is a row, and the reader's count of lines is right.
        lines = csv.reader(self._lines(file), strict=True)
        before = -1
        try:
            header = next(lines, None)
            if header is None:
                return
            self.columns = header
            if self.columns[:1] != [STEP] or len(set(self.columns)) < len(self.columns):
                raise ValueError(f'the header must start with "{STEP}" and name each column once')
            if len(self.columns) > MOST_COLUMNS:
                raise ValueError(f"more than {MOST_COLUMNS:,} columns")
            for cells in lines:
                if len(cells) != len(self.columns):
                    raise ValueError(f"{len(cells)} values for {len(self.columns)} columns")
                row = {name: _number(cell) for name, cell in zip(self.columns, cells, strict=True) if cell}
                step: object = row.get(STEP)
                if not isinstance(step, int) or step <= before:
                    raise ValueError("the step must be a whole number, greater than the one before")
                before = step
                yield row
        except (ValueError, csv.Error) as error:
            raise _damaged(self._path, max(1, lines.line_num), str(error)) from None

    def _lines(self, file: IO[bytes]) -> Iterator[str]:
        """Whole ones, with their ends."""
        for number in itertools.count(1):
            line = file.readline(LONGEST_LINE)
            self.is_cut_off = line != b"" and not line.endswith(b"\n")
            if len(line) == LONGEST_LINE or self.whole_bytes + len(line) > MOST_BYTES:
                raise _damaged(self._path, number, "it is longer than any that is written, or the file is")
            if not line or self.is_cut_off:
                return
            self.whole_bytes += len(line)
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError:
                raise _damaged(self._path, number, "not UTF-8") from None


def _damaged(path: Path, line: int, cause: str) -> UserError:
    return UserError(
        f"{path}: line {line} is damaged: {cause[:200]}\nmend the file, or move it away: the checkpoints do not need it"
    )


def _number(cell: str) -> float:
    try:
        number = int(cell)
    except ValueError:
        return float(cell)
    return number if abs(number) < 2**100 else float(cell)  # which is finite then, or infinite, but no error later


def _plain(value: float) -> float:
    """A value as `repr` writes it so that reading gives the very same one back."""
    return int(value) if isinstance(value, int) else float(value)


def _cells(columns: list[str], row: Row) -> list[str]:
    return [repr(row[name]) if name in row else "" for name in columns]


def _csv(lines: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode("utf-8")
