"""`metrics.csv`: one row per logged step, each step once, through any number of interruptions and resumes."""

import csv
import io
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
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
        self._waiting: dict[int, Row] = {}
        self._unsynced = False
        if path.exists():
            reader = _Reader(path)
            for row in reader:
                self._last_written = int(row[STEP])
            self._columns = reader.columns
            if reader.is_cut_off:
                atomic.write_bytes(path, read_regular(path, MOST_BYTES)[: reader.whole_bytes])

    @property
    def last_step(self) -> int | None:
        """The latest step with values, written or waiting."""
        known = [*self._waiting, *([] if self._last_written is None else [self._last_written])]
        return max(known, default=None)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add `values` to the row of `step`; a name that is there already gets the new value.

        Raises:
            ValueError: `step` is negative, or a column name is empty, "step", or not printable.
            RunError: the file cannot be written. Nothing is lost: all rows wait for the next `log` or `flush`.
        """
        if step < 0:
            raise ValueError(f"step={step}: must not be negative")
        for name in values:
            if not name or name == STEP or not name.isprintable():
                raise ValueError(f"{name!r}: not a usable column name")
        if not values:
            return
        row = self._waiting.setdefault(int(step), {STEP: int(step)})
        row.update((name, _plain(value)) for name, value in values.items())
        newest = max(self._waiting)
        self._write([waiting for waiting in self._waiting if waiting < newest])

    def flush(self) -> None:
        """Write what waits and sync the file: when this returns, every logged row is on the disk.

        Raises:
            RunError: as in `log`.
        """
        self._write(list(self._waiting))
        if self._unsynced:
            try:
                with self.path.open("rb+") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise atomic.write_error(self.path, error) from error
            self._unsynced = False

    def truncate_after(self, step: int) -> None:
        """Forget all rows beyond `step`: those that a run, resumed from a checkpoint of `step`, will log again.

        Raises:
            RunError: the file cannot be written.
        """
        if self._last_written is not None and self._last_written > step:
            self._rewrite(self._columns, [row for row in self._rows() if row[STEP] <= step])
        self._waiting = {waiting: row for waiting, row in self._waiting.items() if waiting <= step}

    def _write(self, steps: list[int]) -> None:
        """Write the rows of `steps`, which wait."""
        if not steps:
            return
        steps = sorted(steps)
        rows = [self._waiting[step] for step in steps]
        columns = list(dict.fromkeys([*self._columns, *(name for row in rows for name in row)]))
        late = self._last_written is not None and steps[0] <= self._last_written
        if late or columns != self._columns or not self.path.exists():
            merged = {int(row[STEP]): row for row in self._rows()}
            for step, row in zip(steps, rows, strict=True):
                merged[step] = merged.get(step, {}) | row
            self._rewrite(columns, [merged[step] for step in sorted(merged)])
        else:
            self._append(_csv(_cells(columns, row) for row in rows))
            self._last_written = steps[-1]
        for step in steps:
            del self._waiting[step]

    def _rows(self) -> list[Row]:
        return read(self.path) if self.path.exists() else []

    def _rewrite(self, columns: list[str], rows: list[Row]) -> None:
        atomic.write_bytes(self.path, _csv([columns, *(_cells(columns, row) for row in rows)]))
        self._columns = columns
        self._last_written = int(rows[-1][STEP]) if rows else None
        self._unsynced = False

    def _append(self, line: bytes) -> None:
        try:
            with self.path.open("rb+", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                try:
                    written = 0
                    while written < len(line):
                        written += file.write(line[written:])
                except BaseException:
                    file.truncate(size)  # the rest of the line may come later, after others
                    raise
        except OSError as error:
            raise atomic.write_error(self.path, error) from error
        self._unsynced = True


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
