"""A .npy file that grows row by row; it appears whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from lstm_lm.embedding.vectors import Rows
from lstm_lm.runs import atomic


class NpyRows:
    """float32 `[N, D]`, N known at the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._shape: tuple[int, int] | None = None
        self._header = 0

    @property
    def shape(self) -> tuple[int, int]:
        """(N, D) so far."""
        return self._shape or (0, 0)

    def append(self, rows: Rows) -> None:
        """`rows` is `[n, D]`, with the same D each time."""
        if self._shape is None:
            self._shape = 0, rows.shape[1]
            self._header = self._write_header()
        assert rows.shape[1] == self._shape[1]
        self._file.write(np.ascontiguousarray(rows, "<f4").tobytes())
        self._shape = self._shape[0] + len(rows), self._shape[1]

    def finish(self) -> None:
        """Say in the header how many rows there are: numpy leaves room there for the first axis to grow."""
        self._file.seek(0)
        written = self._write_header()
        assert self._shape is None or written == self._header

    def _write_header(self) -> int:
        header = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
        np.lib.format.write_array_header_1_0(self._file, header)
        return self._file.tell()


@contextmanager
def npy_rows(path: Path, *, overwrite: bool = False) -> Iterator[NpyRows]:
    """Rows to append; the file takes its place when the block ends well, another's only with `overwrite`.

    Raises:
        RunError: it cannot be written, or another one has come there.
    """
    with atomic.replacing(path, "another file: out=FILE.npy", new=not overwrite) as file:
        rows = NpyRows(file)
        yield rows
        rows.finish()
