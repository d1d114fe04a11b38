"""Lines of a text, each by itself, as batches of padded columns: what `data.unit=line` makes of a row of token ids.

A line ends with the token that holds its newline. Lines of white space alone are left out, and a line of more than T
tokens is cut into pieces of about the same length, so every other token is in exactly one unit.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lstm_lm.data.streams import IGNORE, Batch, Cursor
from lstm_lm.data.token_stream import Placed
from lstm_lm.tokenizers import Tokenizer

Positions = NDArray[np.int64]


class Lines(NamedTuple):
    """Where each unit lies in the text."""

    starts: Positions  # int64[N], of the first token
    lengths: Positions  # int64[N], tokens, 1 to T

    @property
    def tokens(self) -> int:
        """Of all units together."""
        return int(self.lengths.sum())


def find_lines(tokens: NDArray[Any], tokenizer: Tokenizer, longest: int) -> Lines:
    """The units of `tokens` (ids, [N]), none with more than `longest` >= 1 of them."""
    spelled = [tokenizer.token_bytes(token) for token in range(tokenizer.vocabulary_size)]
    ends = np.array([b"\n" in token for token in spelled])
    seen = np.array([not token.isspace() for token in spelled])
    stops = np.flatnonzero(ends[tokens]) + 1
    if len(tokens) and (not len(stops) or stops[-1] != len(tokens)):
        stops = np.append(stops, len(tokens))
    starts = np.concatenate([np.zeros(1, np.int64), stops[:-1]])[: len(stops)]
    if not len(starts):
        return Lines(starts, stops)
    written = np.logical_or.reduceat(seen[tokens], starts)
    return Lines(*_cut(starts[written], (stops - starts)[written], longest))


def _cut(starts: Positions, lengths: Positions, longest: int) -> tuple[Positions, Positions]:
    """Each into as few pieces as it takes, all of about its share."""
    pieces = -(-lengths // longest)
    line = np.repeat(np.arange(len(lengths)), pieces)
    number = np.arange(len(line)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = lengths[line] * number // pieces[line]
    end = lengths[line] * (number + 1) // pieces[line]
    return (starts[line] + begin).astype(np.int64), (end - begin).astype(np.int64)


def batch_of(tokens: Placed, lines: Lines, numbers: Positions) -> Batch:
    """The units with these numbers side by side, [T of the longest, B].

    Targets are the unit's tokens, then IGNORE; inputs are the tokens before them in the text, whose first token has its
    last one before it. The batch is `fresh`: nothing is known of what came before a unit.
    """
    starts, lengths = lines.starts[numbers], lines.lengths[numbers]
    steps = np.arange(lengths.max(), dtype=np.int64)[:, None]
    padding = steps >= lengths
    targets = tokens.take(starts + np.where(padding, 0, steps))
    inputs = tokens.take(starts + np.where(padding, 0, steps) - 1)
    if padding.any():
        targets = targets.masked_fill(torch.from_numpy(padding).to(targets.device), IGNORE)
    return Batch(inputs, targets, fresh=True, predicted=int(lengths.sum()))


class TrainLines:
    """The units of the training text, each once an epoch, in an order that depends on (seed, epoch) alone.

    Each of `world_size` processes gets another B of every B * world_size; those over (fewer than that) are skipped that
    epoch. As with `TrainWindows`, (epoch, next batch) is the whole state, and an iteration goes on where it stands.
    """

    def __init__(
        self,
        tokens: Placed,
        lines: Lines,
        batch_size: int,
        *,
        seed: int,
        repeat: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Read no token; `repeat` as for `TrainWindows`.

        Raises:
            ValueError: there are fewer units than `batch_size * world_size`.
        """
        if len(lines.starts) < batch_size * world_size:
            raise ValueError(f"{len(lines.starts)} lines cannot fill {world_size} batches of {batch_size}")
        self._tokens, self._lines, self._batch_size = tokens, lines, batch_size
        self._seed, self._rank, self._world_size = seed, rank, world_size
        self._cursor = Cursor(repeat)
        self._ordered: tuple[int, Positions] | None = None

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._lines.starts) // (self._batch_size * self._world_size)

    def order(self, epoch: int) -> Positions:
        """The units' numbers as `epoch` takes them: a pure function of (seed, epoch), the same with every numpy."""
        words = np.random.SeedSequence((self._seed, epoch)).generate_state(len(self._lines.starts), np.uint64)
        return np.argsort(words, kind="stable")

    def __iter__(self) -> Iterator[Batch]:
        """The next `len(self)` batches."""
        for _ in range(len(self)):
            epoch, batch = self._cursor.take(len(self))
            if self._ordered is None or self._ordered[0] != epoch:
                self._ordered = epoch, self.order(epoch)
            together = self._batch_size * self._world_size
            numbers = self._ordered[1][batch * together : (batch + 1) * together]
            own = numbers[self._rank * self._batch_size : (self._rank + 1) * self._batch_size]
            of_all = int(self._lines.lengths[numbers].sum())
            yield batch_of(self._tokens, self._lines, own)._replace(of_all=of_all)

    def state_dict(self) -> dict[str, int]:
        """The place in the sequence: an epoch, and how many of its batches have been handed out."""
        return self._cursor.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on at a saved place.

        Raises:
            UserError: `state_dict` is not one that `state_dict()` gives.
        """
        self._cursor.load_state_dict(state_dict)


class EvalLines:
    """Every unit of a split once, in the text's order; the last batch may have fewer columns."""

    def __init__(self, tokens: Placed, lines: Lines, batch_size: int) -> None:
        """Read no token."""
        self._tokens, self._lines = tokens, lines
        self.batch_size = min(batch_size, len(lines.starts))

    def __len__(self) -> int:
        """Batches in the split."""
        return -(-len(self._lines.starts) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        count = len(self._lines.starts)
        for first in range(0, count, self.batch_size):
            yield batch_of(self._tokens, self._lines, np.arange(first, min(first + self.batch_size, count)))
