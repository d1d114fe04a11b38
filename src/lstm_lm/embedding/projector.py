"""The files that TensorBoard's embedding projector reads: vectors and labels as tables, and a note where they are.

Format: tensorboard/plugins/projector/projector_config.proto. Written here, row by row, since
`SummaryWriter.add_embedding` wants all vectors in memory. https://projector.tensorflow.org takes the tables, too.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from lstm_lm.embedding.vectors import Rows
from lstm_lm.errors import UserError
from lstm_lm.runs import atomic
from lstm_lm.runs.outputs import claim_output

CONFIG, VECTORS, LABELS = "projector_config.pbtxt", "vectors.tsv", "labels.tsv"
LONGEST_LABEL = 200
"""Characters; the rest would hide the points."""


class ProjectorTables:
    """Both tables, row by row."""

    def __init__(self, vectors: IO[bytes], labels: IO[bytes]) -> None:
        self._vectors, self._labels = vectors, labels

    def append(self, rows: Rows, texts: Sequence[str]) -> None:
        """`rows` `[n, D]` and their n labels."""
        for row, text in zip(rows, texts, strict=True):
            self._vectors.write(("\t".join(f"{number:.7g}" for number in row) + "\n").encode())
            self._labels.write(f"{_label(text)}\n".encode("utf-8", "replace"))


def claim_tables(folder: Path, *, overwrite: bool) -> None:
    """Refuse a path that is no folder, or a folder that holds such tables.

    Raises:
        UserError: it is, and `overwrite` does not allow to replace them; or what is there must not be replaced.
    """
    if os.path.lexists(folder) and (os.path.islink(folder) or not os.path.isdir(folder)):
        raise UserError(
            f"projector=true: {folder} is there, and no folder\nmove it, or name another file: out=FILE.npy"
        )
    for name in (VECTORS, LABELS, CONFIG) if os.path.isdir(folder) else ():
        claim_output(folder / name, "projector", Path(name).suffix, overwrite=overwrite)


@contextmanager
def projector_tables(folder: Path, *, overwrite: bool = False) -> Iterator[ProjectorTables]:
    """Tables to append to, in `folder`, which is made; they take their places when the block ends well.

    Others' places only with `overwrite`.

    Raises:
        RunError: they cannot be written, or others have come there.
    """
    where = "another file: out=FILE.npy"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise atomic.write_error(folder, error, where) from error
    with ExitStack() as files:
        vectors, labels = (
            files.enter_context(atomic.replacing(folder / name, where, new=not overwrite)) for name in (VECTORS, LABELS)
        )
        yield ProjectorTables(vectors, labels)
    entry = f'tensor_name: "texts" tensor_path: "{VECTORS}" metadata_path: "{LABELS}"'
    atomic.write_text(folder / CONFIG, f"embeddings {{ {entry} }}\n", new=not overwrite)


def _label(text: str) -> str:
    """One line of a table of one column."""
    shown = "".join(character if character.isprintable() else " " for character in text).strip()
    return (shown if len(shown) <= LONGEST_LABEL else shown[: LONGEST_LABEL - 1] + "…") or "(blank)"
