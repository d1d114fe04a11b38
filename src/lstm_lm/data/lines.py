"""Units of a text, each by itself, as batches of padded columns: `data.unit=line` and `data.unit=document`.

A unit ends with the token that ends its separator. Units of white space alone are left out. A line of more than T
tokens is cut into pieces of about the same length, each by itself; a longer document is read window by window, the
state carried. So every other token is a target exactly once.

The B columns of a batch begin together and end one by one, each followed by padding until the longest has ended. Then
the next B begin, all from a fresh state: no state is ever cleared in one column alone, which not every backbone could.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lstm_lm.data.streams import IGNORE, Batch, Cursor
from lstm_lm.data.token_stream import Placed
from lstm_lm.data.unit_ends import unit_ends
from lstm_lm.data.units import LINE_END
from lstm_lm.errors import UserError
from lstm_lm.printable import printable
from lstm_lm.tokenizers import Tokenizer

Positions = NDArray[np.int64]


class Lines(NamedTuple):
    """Where each unit lies in the text: lines, pieces of long lines, or documents."""

    starts: Positions  # int64[N], of the first token
    lengths: Positions  # int64[N], tokens, 1 or more
    whole: NDArray[np.bool_]  # bool[N], whether the unit begins there; False: the rest of a line that was cut
    opening: int  # the token that is read before a unit's first
    longest: int  # T, tokens in a window

    @property
    def tokens(self) -> int:
        """Of all units together."""
        return int(self.lengths.sum())

    @property
    def windows(self) -> Positions:
        """int64[N], in how many windows each unit is read."""
        return -(-self.lengths // self.longest)


def opening_token(tokenizer: Tokenizer, separator: str) -> int:
    """The token that stands for what comes before a unit: the last one of a separator.

    Raises:
        UserError: the tokenizer does not know the separator: nothing would say where a unit ends.
    """
    for text in (separator, f" {separator}"):  # the second where words are set apart by blanks, newlines too (WikiText)
        ids = tokenizer.encode(text, "skip").ids
        if separator.encode() in b"".join(tokenizer.token_bytes(token) for token in ids.tolist()):
            return int(ids[-1])
    raise UserError(
        f"the {tokenizer.name} tokenizer does not know {printable(repr(separator))}, which ends each line or document\n"
        "name another end (data.unit=document data.separator=TEXT), read running text (data.unit=window), or train "
        "without init_from="
    )


def find_lines(
    tokens: NDArray[Any], tokenizer: Tokenizer, longest: int, separator: str = LINE_END, *, cut: bool = True
) -> Lines:
    """The units of `tokens` (ids, [N]), read `longest` >= 1 tokens at once; `cut`: those with more, into pieces.

    Raises:
        UserError: the tokenizer does not know the separator.
    """
    opening = opening_token(tokenizer, separator)
    stops = unit_ends(tokens, tokenizer, separator)
    starts = np.concatenate([np.zeros(1, np.int64), stops[:-1]])[: len(stops)]
    if len(starts):
        spelled = (tokenizer.token_bytes(token) for token in range(tokenizer.vocabulary_size))
        seen = np.array([not token.isspace() for token in spelled])
        written = np.logical_or.reduceat(seen[tokens], starts)
        starts, stops = starts[written], stops[written]
    if not cut:
        return Lines(starts, stops - starts, np.ones(len(starts), np.bool_), opening, longest)
    return Lines(*_cut(starts, stops - starts, longest), opening, longest)


def _cut(starts: Positions, lengths: Positions, longest: int) -> tuple[Positions, Positions, NDArray[np.bool_]]:
    """Each into as few pieces as it takes, all of about its share; and whether a piece is the first of its line."""
    pieces = -(-lengths // longest)
    line = np.repeat(np.arange(len(lengths)), pieces)
    number = np.arange(len(line)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    begin = lengths[line] * number // pieces[line]
    end = lengths[line] * (number + 1) // pieces[line]
    return (starts[line] + begin).astype(np.int64), (end - begin).astype(np.int64), number == 0


def batch_of(tokens: Placed, lines: Lines, numbers: Positions, window: int = 0) -> Batch:
    """The units with these numbers side by side, [T, B]; of long ones, the window with this number.

    Targets are the unit's tokens, then IGNORE; inputs are the tokens before them, the opening token before the first.
    The first window is `fresh`: nothing is known of what came before a unit.
    """
    starts, lengths = lines.starts[numbers], lines.lengths[numbers]
    begin = window * lines.longest
    end = max(begin + 1, min(begin + lines.longest, int(lengths.max())))  # all of a process's columns may have ended
    steps = np.arange(begin, end, dtype=np.int64)[:, None]
    padding = steps >= lengths
    places = starts + np.where(padding, 0, steps)
    targets, inputs = tokens.take(places), tokens.take(places - 1)
    if padding.any():
        targets = targets.masked_fill(torch.from_numpy(padding).to(targets.device), IGNORE)
    if window == 0:
        inputs[0, torch.from_numpy(lines.whole[numbers]).to(inputs.device)] = lines.opening
    predicted = np.clip(lengths - begin, 0, lines.longest)
    return Batch(inputs, targets, fresh=window == 0, predicted=int(predicted.sum()))


class TrainLines:
    """The units of the training text, each once an epoch, in an order that depends on (seed, epoch) alone.

    A group is the B * world_size units that are read side by side, B in each process; units over (fewer than that, of
    the shortest) are skipped that epoch. Units that take as many windows as each other are drawn into the same groups,
    so little is padding, and an epoch has as many windows as any other; the groups come in drawn order.

    As with `TrainWindows`, (epoch, next window) is the whole state, and an iteration goes on where it stands.
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
        self._windows = lines.windows
        self._of_each_group = group_windows(lines, batch_size * world_size)
        self._cursor = Cursor(repeat)
        self._ordered: tuple[int, Positions, Positions] | None = None

    def __len__(self) -> int:
        """Windows in an epoch."""
        return int(self._of_each_group.sum())

    def order(self, epoch: int) -> Positions:
        """The units' numbers, group by group, as `epoch` takes them: a pure function of (seed, epoch)."""
        drawn = self._drawn(epoch, len(self._lines.starts), 0)
        sorted_ = drawn[np.argsort(-self._windows[drawn], kind="stable")]
        groups = sorted_[: len(self._of_each_group) * self._together].reshape(-1, self._together)
        return groups[self._group_order(epoch)].reshape(-1)

    def __iter__(self) -> Iterator[Batch]:
        """The next `len(self)` windows."""
        for _ in range(len(self)):
            epoch, place = self._cursor.take(len(self))
            if self._ordered is None or self._ordered[0] != epoch:
                self._ordered = epoch, self.order(epoch), np.cumsum(self._of_each_group[self._group_order(epoch)])
            _, order, ends = self._ordered
            group = int(np.searchsorted(ends, place, side="right"))
            window = place - (int(ends[group - 1]) if group else 0)
            numbers = order[group * self._together : (group + 1) * self._together]
            own = numbers[self._rank * self._batch_size : (self._rank + 1) * self._batch_size]
            longest = self._lines.longest
            of_all = np.clip(self._lines.lengths[numbers] - window * longest, 0, longest).sum()
            yield batch_of(self._tokens, self._lines, own, window)._replace(of_all=int(of_all))

    @property
    def _together(self) -> int:
        return self._batch_size * self._world_size

    def _group_order(self, epoch: int) -> Positions:
        count = len(self._of_each_group)
        return self._drawn(epoch, count, 1) if self._of_each_group[0] > 1 else np.arange(count)

    def _drawn(self, epoch: int, count: int, purpose: int) -> Positions:
        """The numbers below `count` in an order that is the same with every numpy."""
        seed = (self._seed, epoch, purpose) if purpose else (self._seed, epoch)
        return np.argsort(np.random.SeedSequence(seed).generate_state(count, np.uint64), kind="stable")

    def state_dict(self) -> dict[str, int]:
        """The place in the sequence: an epoch, and how many of its windows have been handed out."""
        return self._cursor.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on at a saved place.

        Raises:
            UserError: `state_dict` is not one that `state_dict()` gives.
        """
        self._cursor.load_state_dict(state_dict)


def group_windows(lines: Lines, together: int) -> Positions:
    """How many windows each group of `together` units takes, most first; the same in every epoch."""
    groups = len(lines.starts) // together
    return np.sort(lines.windows)[::-1][: groups * together : together]


class EvalLines:
    """Every unit of a split once, in the text's order; the last batch may have fewer columns."""

    def __init__(self, tokens: Placed, lines: Lines, batch_size: int) -> None:
        """Read no token."""
        self._tokens, self._lines = tokens, lines
        self.batch_size = min(batch_size, len(lines.starts))
        self.predictions = lines.tokens
        windows, count = lines.windows, len(lines.starts)
        groups = (np.arange(at, min(at + self.batch_size, count)) for at in range(0, count, max(1, self.batch_size)))
        self._batches = [(numbers, int(windows[numbers].max())) for numbers in groups]

    def __len__(self) -> int:
        """Windows in the split."""
        return sum(windows for _, windows in self._batches)

    def __iter__(self) -> Iterator[Batch]:
        for numbers, windows in self._batches:
            for window in range(windows):
                yield batch_of(self._tokens, self._lines, numbers, window)

    def places(self) -> Iterator[Positions]:
        """For each window, which of the split's predictions each of its targets is, [T, B]; what is padding is none."""
        before = np.cumsum(self._lines.lengths) - self._lines.lengths
        for numbers, windows in self._batches:
            for window in range(windows):
                begin = window * self._lines.longest
                end = min(begin + self._lines.longest, int(self._lines.lengths[numbers].max()))
                yield before[numbers] + np.arange(begin, end, dtype=np.int64)[:, None]
