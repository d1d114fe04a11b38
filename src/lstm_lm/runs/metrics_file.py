"""`metrics.csv`: one row per logged step, each step once, through any number of interruptions and resumes."""

import csv
import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from lstm_lm.errors import UserError
from lstm_lm.runs import atomic

STEP = "step"

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
            data = _bytes_of(path)
            whole = _whole_lines(data)
            self._columns, rows = _parse(whole, path)
            self._last_written = int(rows[-1][STEP]) if rows else None
            if len(whole) < len(data):
                atomic.write_bytes(path, whole)

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
        UserError: the file is missing, cannot be read, or is not a metrics file.
    """
    return _parse(_whole_lines(_bytes_of(path)), path)[1]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error


def _whole_lines(data: bytes) -> bytes:
    return data[: data.rfind(b"\n") + 1]


def _parse(data: bytes, path: Path) -> tuple[list[str], list[Row]]:
    """Columns and rows of whole lines; neither where there is not even a header."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _damaged(path, data.count(b"\n", 0, error.start) + 1, "not UTF-8") from None
    rows: list[Row] = []
    # Names hold no line ends, so a line of the file is a row, and the reader's count of lines is right.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = next(reader, [STEP])
        if columns[:1] != [STEP] or len(set(columns)) < len(columns):
            raise ValueError(f'the header must start with "{STEP}" and name each column once')
        for cells in reader:
            if len(cells) != len(columns):
                raise ValueError(f"{len(cells)} values for {len(columns)} columns")
            row = {name: _number(cell) for name, cell in zip(columns, cells, strict=True) if cell}
            if not isinstance(row.get(STEP), int) or (rows and row[STEP] <= rows[-1][STEP]):
                raise ValueError("the step must be a whole number, greater than the one before")
            rows.append(row)
    except (ValueError, csv.Error) as error:
        raise _damaged(path, reader.line_num, str(error)) from None
    return columns if data else [], rows


def _damaged(path: Path, line: int, cause: str) -> UserError:
    return UserError(
        f"{path}: line {line} is damaged: {cause[:200]}\nmend the file, or move it away: the checkpoints do not need it"
    )


def _number(cell: str) -> float:
    try:
        return int(cell)
    except ValueError:
        return float(cell)


def _plain(value: float) -> float:
    """A value as `repr` writes it so that reading gives the very same one back."""
    return int(value) if isinstance(value, int) else float(value)


def _cells(columns: list[str], row: Row) -> list[str]:
    return [repr(row[name]) if name in row else "" for name in columns]


def _csv(lines: Iterable[list[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode("utf-8")
