"""A whole text to a file of vectors, in batches: neither the text nor the vectors are ever all in memory."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from lstm_lm.data.text_source import TextSource
from lstm_lm.data.units import LINE_END, separator_of
from lstm_lm.embedding import texts
from lstm_lm.embedding.npy_file import npy_rows
from lstm_lm.embedding.projector import claim_tables, projector_tables
from lstm_lm.embedding.texts import Piece
from lstm_lm.embedding.vectors import Embedder, Rows, embedder_of
from lstm_lm.errors import UserError
from lstm_lm.forward.interface import Workload
from lstm_lm.models.loading import Loaded
from lstm_lm.runs.checkpoint_fields import misfit
from lstm_lm.runs.outputs import claim_output
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
    overwrite: bool = False,
    forward: str | Mapping[str, Any] = "auto",
    rows: bool = False,
) -> Embedded:
    """Write a float32 array `[N, D]` to `out`: row i is line i of `source`, its i-th window, or its tables' row i.

    Args:
        loaded: what `lstm_lm.load` gave.
        source: the text.
        out: the .npy file, there once all is done.
        unit: line, where the vector of a blank line is zero; or window, of the run's data.seq_len tokens.
        batch_size: texts side by side.
        unknown: what becomes of text that the tokenizer does not know.
        projector: write the tables for TensorBoard's projector, too, beside `out`.
        overwrite: replace what is there, unless it is something that is read here, or no regular file.
        forward: the forward strategy, or auto; or a whole `forward` section.
        rows: the text is that of tables' rows, each of which has a vector as a line has.

    Raises:
        UserError: no vectors can be made with this model, or of this text, or written there.
        RunError: the disk is full.
    """
    claim(out, source, projector=projector, overwrite=overwrite, checkpoint=loaded.checkpoint)
    embedder = ready_embedder(loaded, batch_size, forward)
    steps = embedder.steps
    if rows:
        end = separator_of(loaded.config["data"]) or LINE_END
        pieces = texts.rows(source, loaded.tokenizer, unknown, end)
    elif unit == "line":
        pieces = texts.lines(source, loaded.tokenizer, unknown)
    else:
        pieces = texts.windows(source, loaded.tokenizer, unknown, steps)
    folder = _projector_folder(out) if projector else None
    blank = longer = replaced = 0
    try:
        with npy_rows(out, overwrite=overwrite) as file, contextlib.ExitStack() as stack:
            tables = None if folder is None else stack.enter_context(projector_tables(folder, overwrite=overwrite))
            for batch, found in vectors(embedder, pieces, batch_size, loaded.autocast):
                file.append(found)
                if tables is not None:
                    tables.append(found, [piece.text for piece in batch])
                blank += sum(not len(piece.ids) for piece in batch)
                longer += sum(len(piece.ids) > steps for piece in batch)
                replaced += sum(piece.replaced for piece in batch)
            if not file.shape[0]:
                raise UserError(f"{source.label}: nothing in it gets a vector\nname another text: data.path=FILE")
    finally:
        loaded.model.close()
    return Embedded(*file.shape, embedder.how, blank, longer, replaced, folder)


def ready_embedder(loaded: Loaded, batch_size: int, forward: str | Mapping[str, Any]) -> Embedder:
    """What makes vectors with the model of a run, B = `batch_size` at a time, by that forward strategy.

    Raises:
        UserError: none can be made with it, or not by that strategy.
    """
    steps = _steps(loaded)
    embedder = embedder_of(loaded.model, str(loaded.config["model"]["name"]), steps)
    like = next(loaded.model.parameters())
    work = Workload(batch_size, steps, loaded.autocast or like.dtype, training=False)
    loaded.model.use_forward(forward, like.device, work)
    return embedder


def vectors(
    embedder: Embedder, pieces: Iterator[Piece], batch_size: int, autocast: torch.dtype | None
) -> Iterator[tuple[list[Piece], Rows]]:
    """`pieces` in batches of n <= `batch_size`, in their order, each with its vectors, float32 `[n, D]`."""
    for batch in _batches(pieces, batch_size):
        yield batch, _vectors(embedder, batch, autocast)


def _steps(loaded: Loaded) -> int:
    """T, tokens in a window of the training."""
    steps = (loaded.config.get("data") or {}).get("seq_len")
    if not isinstance(steps, int) or not 0 < steps < 2**31:
        raise misfit(loaded.checkpoint, "its configuration has no data.seq_len")
    return steps


def claim(out: Path, source: TextSource, *, projector: bool, overwrite: bool, checkpoint: Path | None = None) -> None:
    """Refuse, before any work, files that cannot or must not be written.

    Raises:
        UserError: as `claim_output`, for `out` and where `projector` asks for them the tables beside it.
    """
    inputs = [*source.paths, *([] if checkpoint is None else [checkpoint])]
    claim_output(out, "out", ".npy", overwrite=overwrite, inputs=inputs)
    if projector:
        claim_tables(_projector_folder(out), overwrite=overwrite)


def _projector_folder(out: Path) -> Path:
    return out.with_name(f"{out.stem}-projector")


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
def _vectors(embedder: Embedder, batch: list[Piece], autocast: torch.dtype | None) -> Rows:
    """float32 `[n, D]`; zero where there is no text."""
    written = [number for number, piece in enumerate(batch) if len(piece.ids)]
    kind = embedder.device.type
    with torch.autocast(kind, autocast) if autocast is not None else contextlib.nullcontext():
        found = embedder.rows([batch[number].ids for number in written]) if written else None
    rows = np.zeros((len(batch), embedder.size), np.float32)
    if found is not None:
        rows[written] = found.float().cpu().numpy()
    return rows
