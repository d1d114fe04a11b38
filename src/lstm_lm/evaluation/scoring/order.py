"""The most surprising first: of a stream that is longer than memory, too.

The first N are kept in a heap. All of them are sorted outside of memory: as many as fit are sorted and written to a
temporary file, and the files are merged in the end, the merged ones again where there are many (Knuth, "The Art of
Computer Programming", volume 3, section 5.4).
"""

import heapq
import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, NamedTuple

from lstm_lm.errors import RunError
from lstm_lm.evaluation.scoring.rows import Ranked

MOST_BYTES = 1 << 26
"""Of the rows that are sorted at once."""
BYTES_BESIDE = 250
"""What Python takes for each, beside its text."""
MOST_FILES = 64
"""That are merged at once."""


class _Entry(NamedTuple):
    """Sorts as it should come: by less and less surprise, then in the order of the input."""

    negated: float
    number: int
    content: str
    """The row's values, as JSON."""


def most_surprising(rows: Iterable[Ranked], top: int) -> list[Ranked]:
    """The `top` most surprising rows; of equally surprising ones the earlier first."""
    return [row for _, row in heapq.nsmallest(top, enumerate(rows), key=lambda found: (-found[1].surprise, found[0]))]


def all_sorted(rows: Iterable[Ranked], kind: type[Ranked], most_bytes: int = MOST_BYTES) -> Iterator[Ranked]:
    """All rows, the most surprising first; of equally surprising ones the earlier first.

    Args:
        rows: of one kind.
        kind: theirs.
        most_bytes: that are held at once; what is more lies in the system's folder for temporary files (`TMPDIR`).

    Raises:
        RunError: that folder cannot be written; its disk is full, say.
    """
    with ExitStack() as stack:
        waiting: list[_Entry] = []
        files: list[Path] = []
        folder: Path | None = None
        size = 0
        try:
            for number, row in enumerate(rows):
                waiting.append(_Entry(-row.surprise, number, json.dumps(row)))
                size += len(waiting[-1].content) + BYTES_BESIDE
                if size > most_bytes:
                    folder = folder or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lstm-lm-")))
                    files = _merged_if_many([*files, _written(sorted(waiting), folder)], folder)
                    waiting, size = [], 0
            waiting.sort()
            for entry in heapq.merge(*map(_read, files), waiting):
                yield kind(*json.loads(entry.content))
        except OSError as error:
            raise RunError(
                f"{folder or tempfile.gettempdir()}: the rows cannot be sorted there: {error.strerror or error}\n"
                "free some space, or name another folder: TMPDIR=FOLDER; or top=N, which needs none"
            ) from error


def _merged_if_many(files: list[Path], folder: Path) -> list[Path]:
    if len(files) < MOST_FILES:
        return files
    merged = _written(heapq.merge(*map(_read, files)), folder)
    for file in files:
        with suppress(OSError):
            file.unlink()
    return [merged]


def _written(entries: Iterable[_Entry], folder: Path) -> Path:
    with tempfile.NamedTemporaryFile("w", dir=folder, delete=False, encoding="ascii") as file:
        for negated, number, content in entries:
            file.write(f"{negated!r} {number} {content}\n")
        return Path(file.name)


def _read(path: Path) -> Iterator[_Entry]:
    file: IO[str]
    with path.open(encoding="ascii") as file:
        for line in file:
            negated, number, content = line.split(" ", 2)
            yield _Entry(float(negated), int(number), content.rstrip("\n"))
