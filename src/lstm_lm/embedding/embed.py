"""A whole text to a file of vectors, in batches: neither the text nor the vectors are ever all in memory."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from lstm_lm.data.text_source import TextSource
from lstm_lm.embedding import texts
from lstm_lm.embedding.npy_file import npy_rows
from lstm_lm.embedding.projector import projector_tables
from lstm_lm.embedding.texts import Piece
from lstm_lm.embedding.vectors import Embedder, Rows, embedder_of
from lstm_lm.errors import UserError
from lstm_lm.forward.interface import Workload
from lstm_lm.loading import Loaded
from lstm_lm.tokenizers import Unknown

Unit = Literal["line", "window"]

MOST_TOKENS = 2**18
"""In a batch, padding included: one very long line must not be padded to by many."""


class Embedded(NamedTuple):
    """What was written."""

    rows: int
    size: int
    """D, numbers of a vector."""
    how: str
    """What a vector is."""
    blank: int
    """Rows that are zero, since there was no text."""
    longer: int
    """Texts longer than the windows that the model was trained on."""
    replaced: int
    """Unknown pieces of text, left out or replaced."""
    projector: Path | None
    """The folder for TensorBoard."""


def embed(
    loaded: Loaded,
    source: TextSource,
    out: Path,
    *,
    unit: Unit = "line",
    batch_size: int = 64,
    unknown: Unknown = "error",
    projector: bool = False,
    forward: str | Mapping[str, Any] = "auto",
) -> Embedded:
    """Write a float32 array `[N, D]` to `out`: row i is line i of `source`, or its i-th window.

    Args:
        loaded: what `lstm_lm.load` gave.
        source: the text.
        out: the .npy file, replaced where there is one, once all is done.
        unit: line, where the vector of a blank line is zero; or window, of the run's data.seq_len tokens.
        batch_size: texts side by side.
        unknown: what becomes of text that the tokenizer does not know.
        projector: write the tables for TensorBoard's projector, too, beside `out`.
        forward: the forward strategy, or auto; or a whole `forward` section.

    Raises:
        UserError: no vectors can be made with this model, or of this text, or written there.
        RunError: the disk is full.
    """
    check_out(out)
    steps = int(loaded.config["data"]["seq_len"])
    embedder = embedder_of(loaded.model, str(loaded.config["model"]["name"]), steps)
    like = next(loaded.model.parameters())
    work = Workload(batch_size, steps, loaded.autocast or like.dtype, training=False)
    loaded.model.use_forward(forward, like.device, work)
    if unit == "line":
        pieces = texts.lines(source, loaded.tokenizer, unknown)
    else:
        pieces = texts.windows(source, loaded.tokenizer, unknown, steps)
    folder = out.with_name(f"{out.stem}-projector") if projector else None
    blank = longer = replaced = 0
    try:
        with npy_rows(out) as file, contextlib.ExitStack() as stack:
            tables = None if folder is None else stack.enter_context(projector_tables(folder))
            for batch in _batches(pieces, batch_size):
                rows = _rows(embedder, batch, loaded.autocast)
                file.append(rows)
                if tables is not None:
                    tables.append(rows, [piece.text for piece in batch])
                blank += sum(not len(piece.ids) for piece in batch)
                longer += sum(len(piece.ids) > steps for piece in batch)
                replaced += sum(piece.replaced for piece in batch)
            if not file.shape[0]:
                raise UserError(f"{source.label}: nothing in it gets a vector\nname another text: data.path=FILE")
    finally:
        loaded.model.close()
    return Embedded(*file.shape, embedder.how, blank, longer, replaced, folder)


def check_out(out: Path) -> None:
    """Refuse, before any work, a file that cannot be written.

    Raises:
        UserError: its folder is missing or cannot be written, or it is a folder itself.
    """
    folder = Path(os.path.abspath(out)).parent
    if os.path.isdir(out):
        raise UserError(f"out={out}: a folder\nname a file in it: out={out / 'vectors.npy'}")
    if not os.path.isdir(folder):
        raise UserError(f"out={out}: there is no folder {folder}\nmake it, or name another file")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"out={out}: the folder {folder} cannot be written\nallow it, or name another file")


def _batches(pieces: Iterator[Piece], most: int) -> Iterator[list[Piece]]:
    """In their order; at most so many, and fewer where they are long."""
    batch: list[Piece] = []
    longest = 0
    for piece in pieces:
        longest = max(longest, len(piece.ids))
        if batch and (len(batch) == most or longest * (len(batch) + 1) > MOST_TOKENS):
            yield batch
            batch, longest = [], len(piece.ids)
        batch.append(piece)
    if batch:
        yield batch


@torch.inference_mode()
def _rows(embedder: Embedder, batch: list[Piece], autocast: torch.dtype | None) -> Rows:
    """float32 `[n, D]`; zero where there is no text."""
    written = [number for number, piece in enumerate(batch) if len(piece.ids)]
    kind = embedder.device.type
    with torch.autocast(kind, autocast) if autocast is not None else contextlib.nullcontext():
        found = embedder.rows([batch[number].ids for number in written]) if written else None
    rows = np.zeros((len(batch), embedder.size), np.float32)
    if found is not None:
        rows[written] = found.float().cpu().numpy()
    return rows
