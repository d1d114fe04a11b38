"""`lstm_lm.embed`: vectors of lines, in one call."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from lstm_lm.embedding.embed import ready_embedder, vectors
from lstm_lm.embedding.texts import given
from lstm_lm.errors import UserError
from lstm_lm.models.loading import Loaded, load
from lstm_lm.options import Options
from lstm_lm.tokenizers import Unknown

LABEL = "the lines"


class _EmbedOptions(Options):
    """What is checked of the arguments."""

    unknown: Unknown
    batch_size: Annotated[int, Field(ge=1, le=65536)]


def embed(
    run: str | Path | Loaded | None = None,
    lines: Iterable[str] = (),
    *,
    unknown: Unknown = "error",
    batch_size: int = 64,
    ckpt_path: str | Path | None = None,
    runs_dir: str | Path = "outputs",
    device: str | torch.device = "auto",
    precision: str = "auto",
    forward: str | Mapping[str, Any] = "auto",
) -> Tensor:
    """The vectors of lines, as `python -m lstm_lm embed` writes them: float32 `[N, D]` on the CPU, row i is line i's.

    D is the last layer's width H, of an autoencoder its vector's size. A blank line's vector is zero.

    Args:
        run: a run directory or its name; None: the newest below `runs_dir`; or what `lstm_lm.load` gave, and then
            `ckpt_path`, `runs_dir`, `device` and `precision` are not looked at.
        lines: N texts without newlines; one text alone is its lines.
        unknown: what becomes of characters that the tokenizer does not know: error, skip or replace.
        batch_size: lines side by side; 1 to 65536.
        ckpt_path: a checkpoint file, or `best` or `last` of the run.
        runs_dir: the folder below which runs are looked for.
        device: auto (a GPU where there is one), cpu, gpu, mps, or torch's name of one.
        precision: as `lstm_lm.load` takes it; auto: 32-true.
        forward: the forward strategy, or auto; or a whole `forward` section.

    Raises:
        UserError: a value is out of its range; no such run or checkpoint; its model makes no vectors; unknown
            characters in a line, or a newline; ...
    """
    options = _EmbedOptions.parse({"unknown": unknown, "batch_size": batch_size}, "embed")
    if isinstance(lines, str):
        lines = lines.removesuffix("\n").split("\n") if lines else ()
    if not isinstance(run, Loaded):
        run = load(run, ckpt_path=ckpt_path, runs_dir=runs_dir, device=device, precision=precision, forward=forward)
    embedder = ready_embedder(run, options.batch_size, forward)
    try:
        pieces = given(_texts(lines), run.tokenizer, options.unknown, LABEL)
        rows = [made for _, made in vectors(embedder, pieces, options.batch_size, run.autocast)]
    finally:
        run.model.close()
    return torch.from_numpy(np.concatenate([np.zeros((0, embedder.size), np.float32), *rows]))


def _texts(lines: Iterable[Any]) -> Iterable[str]:
    for number, line in enumerate(lines, 1):
        if not isinstance(line, str):
            raise UserError(f"{LABEL}, line {number}: {type(line).__name__}, and no text\ngive a list of texts")
        yield line
