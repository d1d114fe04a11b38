"""The loss of every token of a text, window by window, and what is kept of it: sums over blocks, never all of it."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from lstm_lm.data.lines import EvalLines
from lstm_lm.data.streams import IGNORE, Batch, EvalWindows
from lstm_lm.models.interface import LanguageModel, State


def token_nats(logits: Tensor, targets: Tensor) -> Tensor:
    """`logits[T, B, V]`, `targets[T, B]` -> losses `[T, B]`, 0 at IGNORE; float32, or float64 where the logits are."""
    rows = logits.flatten(0, 1)
    if rows.element_size() < 4:
        rows = rows.float()
    nats = cross_entropy(rows, targets.flatten(), ignore_index=IGNORE, reduction="none")
    return nats.view_as(targets)


def losses(
    model: LanguageModel, windows: EvalWindows | EvalLines, *, device: torch.device, autocast: torch.dtype | None
) -> Iterator[tuple[Batch, Tensor]]:
    """Each window, and its tokens' losses `[T, B]`; the state is carried, unless it is fresh. No gradients are kept."""
    state: State = None
    for batch in windows:
        if batch.fresh:
            state = model.initial_state(batch.inputs.shape[1])
        with torch.no_grad(), mixed(device, autocast):
            logits, state = model(batch.inputs, state)
            nats = token_nats(logits, batch.targets)
        yield batch, nats


def mixed(device: torch.device, autocast: torch.dtype | None) -> AbstractContextManager[object]:
    """The block computes in mixed precision, where there is a type for it."""
    return nullcontext() if autocast is None else torch.autocast(device.type, autocast)


class BlockSums:
    """Losses added up over contiguous blocks of a text, and how often each token was the target."""

    def __init__(self, predictions: int, blocks: int, vocabulary_size: int) -> None:
        """Begin with nothing.

        Args:
            predictions: P, in the text.
            blocks: K, of almost equal length.
            vocabulary_size: V.
        """
        self._predictions = predictions
        self.nats: NDArray[np.float64] = np.zeros(blocks)
        self.tokens: NDArray[np.int64] = np.zeros(blocks, dtype=np.int64)
        self.times: NDArray[np.int64] = np.zeros(vocabulary_size, dtype=np.int64)

    def add(self, nats: Tensor, targets: Tensor, places: NDArray[np.int64]) -> None:
        """Add a window.

        Args:
            nats: losses, `[T, B]`.
            targets: `[T, B]`; IGNORE does not count.
            places: which of the text's predictions each target is, `[T, B]`.
        """
        ids = targets.cpu().numpy()
        scored = ids != IGNORE
        block = places[scored] * len(self.nats) // self._predictions
        values = nats.cpu().numpy().astype(np.float64)[scored]
        self.nats += np.bincount(block, values, minlength=len(self.nats))
        self.tokens += np.bincount(block, minlength=len(self.tokens))
        self.times += np.bincount(ids[scored], minlength=len(self.times))

    @property
    def loss(self) -> float:
        """Nats per token."""
        return float(self.nats.sum() / self.tokens.sum())

    def means(self) -> NDArray[np.float64]:
        """Nats per token of each block that has any."""
        there = self.tokens > 0
        return np.asarray(self.nats[there] / self.tokens[there])


class UnitSums:
    """Losses added up over each of a split's units: where these were drawn at random, no other blocks are needed."""

    def __init__(self, lengths: NDArray[np.int64]) -> None:
        """Take the units' tokens, [N]."""
        self._ends = np.cumsum(lengths)
        self.tokens: NDArray[np.int64] = np.zeros(len(lengths), dtype=np.int64)
        self.nats: NDArray[np.float64] = np.zeros(len(lengths))

    def add(self, nats: Tensor, targets: Tensor, places: NDArray[np.int64]) -> None:
        """Add a window, as to `BlockSums`."""
        scored = targets.cpu().numpy() != IGNORE
        units = np.searchsorted(self._ends, places[scored], side="right")
        self.nats += np.bincount(units, nats.cpu().numpy().astype(np.float64)[scored], minlength=len(self.nats))
        self.tokens += np.bincount(units, minlength=len(self.tokens))
