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
from lstm_lm.runs.regular_file import open_regular

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
    """The writer. Continues the file that is there, and appends to it.

    The row of the newest step, the *open row*, stays in memory: its validation comes later, and a checkpoint of that
    step holds it. A row that is complete is appended once, whole. Three rare things rewrite the file (atomically): a
    new column, a new value for a row that is on the disk already, and a file that somebody has deleted.
    """

    def __init__(self, path: Path) -> None:
        """Read `path`, whose last row is the open row; it need not exist yet, but its folder must. Changes nothing.

        Raises:
            UserError: the file cannot be read, or is not a metrics file.
        """
        self.path = path
        self._columns: list[str] = []
        self._kept_bytes = 0
        """Of the file. What lies behind goes with the next write: half a line, or rows that will be added again."""
        self._written_step = -1
        """Of the last row that is kept on the disk."""
        self._waiting: list[Row] = []
        """Complete rows that could not be written yet."""
        self._open: Row = {}
        self._open_is_written = True
        self._unsynced = False
        self._look_up_to(None)

    @property
    def open_row(self) -> Row:
        """A copy of the newest row, for a checkpoint to hold; empty where nothing was added yet."""
        return dict(self._open)

    def resume_at(self, step: int, saved: Row) -> Row:
        """Continue as after the checkpoint of `step`, which holds the open row `saved` (of `step` or an earlier one).

        Rows beyond `step` are forgotten. The newest row that is left is the open row again, with the values that the
        file has of it and those that the checkpoint has; it is returned, a copy. The disk is as it was until the next
        `add` or `sync`.

        Raises:
            ValueError: `saved` is of a step beyond `step`.
            UserError: the file cannot be read.
        """
        if saved and saved[STEP] > step:
            raise ValueError(f"the open row of step {saved[STEP]} was not saved at step {step}")
        self._waiting = []
        self._look_up_to(step)
        at = int(saved.get(STEP, step))
        if not self._open or self._open[STEP] < at:
            self._open, self._open_is_written = {STEP: at} | saved, False
        elif self._open[STEP] == at and (row := saved | self._open) != self._open:
            self._open, self._open_is_written = row, False
        return self.open_row

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Add `values` to the open row, replacing those of the same name; or append it and begin a new one.

        Raises:
            ValueError: `step` is negative, or older than the open row; a column name is empty, "step", or unprintable.
            RunError: the file cannot be written. Nothing is lost: all rows wait for the next `add` or `sync`.
        """
        if step < 0:
            raise ValueError(f"step={step}: must not be negative")
        for name in values:
            if not name or name == STEP or not name.isprintable():
                raise ValueError(f"{name!r}: not a usable column name")
        if self._open and step < self._open[STEP]:
            raise ValueError(f"step={step}: the row of step {self._open[STEP]} has been begun")
        if not values:
            return
        begins = not self._open or step > self._open[STEP]
        if begins:
            self._close_row()
            self._open = {STEP: int(step)}
        row = self._open | {name: _plain(value) for name, value in values.items()}
        self._open_is_written = self._open_is_written and not begins and row == self._open
        self._open = row
        if begins:
            self._write(self._waiting)
            self._waiting = []

    def sync(self, *, open_row: bool) -> None:
        """Bring to the disk what is complete, and with `open_row`, at the end of a run, the open row too.

        Raises:
            RunError: as in `add`.
        """
        if open_row and not self._open_is_written:
            self._write([*self._waiting, *([self._open] if len(self._open) > 1 else [])])
            self._open_is_written = True
        else:
            self._write(self._waiting)
        self._waiting = []
        if self._unsynced:
            try:
                with self.path.open("rb+") as file:
                    os.fsync(file.fileno())
            except OSError as error:
                raise atomic.write_error(self.path, error) from error
            self._unsynced = False

    def _look_up_to(self, step: int | None) -> None:
        """Find the open row on the disk: the last one that is not beyond `step`."""
        self._open, self._open_is_written, self._written_step, self._kept_bytes = {}, True, -1, 0
        if not self.path.exists():
            return
        reader = _Reader(self.path)
        for row in reader:
            if step is not None and row[STEP] > step:
                break
            self._open, self._written_step, self._kept_bytes = row, int(row[STEP]), reader.whole_bytes
        self._columns = reader.columns
        self._kept_bytes = self._kept_bytes or reader.header_bytes

    def _close_row(self) -> None:
        if not self._open_is_written and len(self._open) > 1:
            self._waiting.append(self._open)
        self._open_is_written = False

    def _write(self, rows: list[Row]) -> None:
        """Bring `rows`, ascending, to the disk, behind those that are kept there and older."""
        columns = list(dict.fromkeys([*self._columns, *(name for row in rows for name in row)]))
        is_there = self.path.exists()
        if rows and (rows[0][STEP] <= self._written_step or columns != self._columns or not is_there):
            kept = [row for row in (read(self.path) if is_there else []) if row[STEP] <= self._written_step]
            before = [row for row in kept if row[STEP] < rows[0][STEP]]
            data = _csv([columns, *(_cells(columns, row) for row in [*before, *rows])])
            atomic.write_bytes(self.path, data)
            self._columns, self._kept_bytes, self._unsynced = columns, len(data), False
        elif is_there:
            self._append(_csv(_cells(columns, row) for row in rows))
        if rows:
            self._written_step = int(rows[-1][STEP])

    def _append(self, lines: bytes) -> None:
        try:
            with self.path.open("rb+", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                kept = min(size, self._kept_bytes)
                if size == kept and not lines:
                    return
                self._unsynced = True
                file.truncate(kept)
                file.seek(kept)
                try:
                    written = 0
                    while written < len(lines):
                        written += file.write(lines[written:])
                except BaseException:
                    file.truncate(kept)  # the rest of the line may come later, after others
                    raise
        except OSError as error:
            raise atomic.write_error(self.path, error) from error
        self._kept_bytes = kept + len(lines)


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
    """All rows of a metrics file, one by one: however many there are, they take no memory.

    Raises:
        UserError: the file is missing, cannot be read, or is not a metrics file; rows before a damaged line have been
            handed out by then.
    """
    yield from _Reader(path)


class _Reader:
    """Goes through a file once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.columns: list[str] = []
        """Known from the first row on; none where there is not even a header."""
        self.whole_bytes = 0
        """Of lines so far that have their end; while a row is handed out, up to its end."""
        self.header_bytes = 0

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
            self.columns, self.header_bytes = header, self.whole_bytes
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
            if len(line) == LONGEST_LINE or self.whole_bytes + len(line) > MOST_BYTES:
                raise _damaged(self._path, number, "it is longer than any that is written, or the file is")
            if not line.endswith(b"\n"):  # the end, or half a line
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
