"""Token losses of a model: of lines side by side, each from a fresh state, and of running text, the state carried."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstm_lm.data.streams import IGNORE
from lstm_lm.errors import RunError
from lstm_lm.evaluation.scoring.encoding import EncodedLine
from lstm_lm.evaluation.token_losses import mixed, token_nats
from lstm_lm.forward.interface import Workload
from lstm_lm.models.interface import State
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers.interface import Ids

Nats = NDArray[np.float64]

MOST_LOGITS = 1 << 21
"""Numbers that one call of the model gives: 8 MiB of float32, which malloc keeps for the next call."""
MOST_STEPS = 512
"""Of one call."""
MOST_CELLS = 1 << 18
"""Tokens of a batch of lines, padding included."""
MOST_LINES, MOST_TOKENS = 4096, 1 << 19
"""Of the lines that wait to be sorted by length."""


class ScoredLine(NamedTuple):
    """A line, and how likely the model finds it."""

    encoded: EncodedLine
    nats: Nats
    """-ln p of each token that is scored, [n]."""


class TokenScorer:
    """Asks the model of a run. Whoever makes one calls `close` in the end."""

    def __init__(self, loaded: Loaded, batch_size: int, forward: str | Mapping[str, Any] = "auto") -> None:
        """Choose how the model runs.

        Args:
            loaded: what `lstm_lm.load` gave; a language model.
            batch_size: B, lines side by side; 1 for running text.
            forward: the forward strategy, or auto; or a whole `forward` section.

        Raises:
            UserError: no such strategy, or it cannot run this model.
        """
        self._model = loaded.model
        self._checkpoint = loaded.checkpoint
        self._autocast = loaded.autocast
        vocabulary_size = loaded.model.vocabulary_size
        self._batch_size = max(1, min(batch_size, MOST_LOGITS // vocabulary_size))
        like = next(loaded.model.parameters())
        self._device = like.device
        self._most_steps = max(1, min(MOST_STEPS, MOST_LOGITS // (self._batch_size * vocabulary_size)))
        work = Workload(self._batch_size, self._most_steps, loaded.autocast or like.dtype, training=False)
        loaded.model.use_forward(forward, like.device, work)

    def close(self) -> None:
        """End what the forward strategy keeps."""
        self._model.close()

    def lines(self, lines: Iterable[EncodedLine]) -> Iterator[ScoredLine]:
        """The losses of every line, in their order; those of about the same length are computed side by side.

        So many lines wait for each other: MOST_LINES, or fewer, as soon as they have MOST_TOKENS together.

        Raises:
            RunError: the model predicts no numbers.
        """
        for waiting in _portions(lines):
            nats: list[Nats] = [np.empty(0)] * len(waiting)
            for numbers in self._batches([len(line.scored) for line in waiting]):
                found = self._batch([waiting[number].ids for number in numbers])
                for number, losses in zip(numbers, found, strict=True):
                    nats[number] = losses
            yield from map(ScoredLine, waiting, nats)

    def running(self, parts: Iterable[Ids]) -> Iterator[tuple[Ids, Nats]]:
        """The tokens of one text, which comes in parts, window by window: those that are scored, [T], and their losses.

        Every token but the text's first is scored, given all before it.

        Raises:
            RunError: the model predicts no numbers.
        """
        state = self._model.initial_state(1)
        kept = np.empty(0, np.int64)
        for part in parts:
            kept = np.concatenate([kept, part])
            while len(kept) > 1:
                window = kept[: self._most_steps + 1]
                targets = torch.from_numpy(window[1:, None])
                nats, state = self._window(torch.from_numpy(window[:-1, None]), targets, state)
                yield window[1:], self._numbers(nats)[:, 0]
                kept = kept[len(window) - 1 :]

    def _batches(self, lengths: Sequence[int]) -> Iterator[list[int]]:
        """Numbers of lines that are scored together, the shortest first; lines without tokens are in none."""
        order = sorted((number for number, length in enumerate(lengths) if length), key=lengths.__getitem__)
        batch: list[int] = []
        for number in order:
            if len(batch) == self._batch_size or (batch and lengths[number] * (len(batch) + 1) > MOST_CELLS):
                yield batch
                batch = []
            batch.append(number)
        if batch:
            yield batch

    def _batch(self, lines: Sequence[Ids]) -> list[Nats]:
        """The losses of lines side by side, the longest last."""
        steps = len(lines[-1]) - 1
        inputs = np.zeros((steps, len(lines)), np.int64)
        targets = np.full((steps, len(lines)), IGNORE, np.int64)
        for column, ids in enumerate(lines):
            inputs[: len(ids) - 1, column] = ids[:-1]
            targets[: len(ids) - 1, column] = ids[1:]
        state = self._model.initial_state(len(lines))
        parts = []
        for start in range(0, steps, self._most_steps):
            window = slice(start, start + self._most_steps)
            nats, state = self._window(torch.from_numpy(inputs[window]), torch.from_numpy(targets[window]), state)
            parts.append(nats)
        nats_of = self._numbers(torch.cat(parts))
        return [nats_of[: len(ids) - 1, column].copy() for column, ids in enumerate(lines)]

    @torch.no_grad()
    def _window(self, inputs: Tensor, targets: Tensor, state: State) -> tuple[Tensor, State]:
        """`inputs[T, B]`, `targets[T, B]` and the state before them -> losses `[T, B]`, and the state after them."""
        inputs, targets = inputs.to(self._device), targets.to(self._device)
        with mixed(self._device, self._autocast):
            logits, state = self._model(inputs, state)
        return token_nats(logits, targets), state

    def _numbers(self, nats: Tensor) -> Nats:
        """On the host.

        Raises:
            RunError: one of them is no number.
        """
        found: Nats = nats.cpu().numpy().astype(np.float64)
        if not np.isfinite(found).all():
            raise RunError(
                f"{self._checkpoint}: the model's predictions are not numbers (NaN or infinity)\n"
                "its weights have diverged, or precision= is too coarse for them: use an earlier checkpoint, or 32-true"
            )
        return found


def _portions(lines: Iterable[EncodedLine]) -> Iterator[list[EncodedLine]]:
    waiting: list[EncodedLine] = []
    tokens = 0
    for line in lines:
        waiting.append(line)
        tokens += len(line.ids)
        if len(waiting) == MOST_LINES or tokens >= MOST_TOKENS:
            yield waiting
            waiting, tokens = [], 0
    if waiting:
        yield waiting
