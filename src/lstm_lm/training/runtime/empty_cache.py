"""Memory that PyTorch keeps of a GPU, given back now and then."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch


class EmptyCache(pl.Callback):
    """Gives back, after every `every_n` windows, what is kept for later and used by nothing.

    It costs time: the GPU is waited for, and memory is asked for anew. It helps where another program needs that
    memory, or where it has become fragmented.
    """

    def __init__(self, every_n: int, empty: Callable[[], None]) -> None:
        """`every_n`: 1 or more; `empty`: what gives it back (see `emptier`)."""
        self._every = every_n
        self._empty = empty
        self._windows = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts through all epochs."""
        self._windows += 1
        if self._windows % self._every == 0:
            self._empty()


def emptier(device: torch.device) -> Callable[[], None] | None:
    """What gives back the memory that PyTorch keeps of `device`; None: it keeps none (on a CPU)."""
    return {"cuda": torch.cuda.empty_cache, "mps": torch.mps.empty_cache}.get(device.type)
