"""Windows over a row of token ids: B streams side by side, cut along time. Needs nothing but the ids.

Training: the row is a circle, entered at another place each epoch and cut into B contiguous streams of equal length.
Evaluation: the row is a line of which every token but the first is predicted exactly once.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstm_lm.data.token_stream import ON_HOST, Placed
from lstm_lm.data.window_lengths import WindowLengths, bounds, longest
from lstm_lm.errors import UserError

IGNORE = -100
"""Target where nothing is to be predicted: what `torch.nn.functional.cross_entropy` leaves out by default."""


class Batch(NamedTuple):
    """One window of B streams. `inputs` and `targets` may share memory: treat them as read-only."""

    inputs: Tensor  # int64[T, B]
    targets: Tensor  # int64[T, B]; IGNORE (-100) where nothing is to be predicted
    fresh: bool  # True: the hidden state starts from zero before this window
    predicted: int | None = None  # targets that are not IGNORE, where that is known without looking; None: T * B
    of_all: int | None = None  # the same of this window in all processes together; None: in each as many
    divisor: int | None = None  # what the window adds to the divisor of its step's summed loss; None: `of_all`

    def tokens(self) -> int:
        """How many are predicted; does not look at the targets."""
        return self.inputs.numel() if self.predicted is None else self.predicted

    def tokens_of_all(self, processes: int) -> int:
        """The same of this window in all `processes` together."""
        return self.tokens() * processes if self.of_all is None else self.of_all


class TrainWindows:
    """The training text, window by window; one iteration is one epoch.

    The N tokens are rotated by an offset that depends on (seed, epoch) alone, then cut into `batch_size * world_size`
    contiguous streams of equal length; the tokens over (fewer than there are streams) are skipped that epoch. The
    target of a position is its successor on the circle. So within an epoch every token but those skipped is a target
    exactly once, and window k + 1 of a stream goes on where window k ended, which is what lets the hidden state carry.

    The windows of all epochs form one endless sequence, and the place in it, (epoch, next window), is the whole state.
    An iteration hands out the next `len(self)` windows: an epoch, where it begins with one. One that is cut short does
    not tear the sequence: the next takes it up where it stands. (Lightning cuts short with `limit_train_batches`; after
    a resume, at the epoch's end; and, resuming from some checkpoints, for no reason.) The place is read when an
    iterator's first window is asked for, so it may be loaded before or after `iter()`, and an iterator that is not used
    changes nothing.

    With `repeat` the sequence is the first so many windows of epoch 0, again and again: a model that cannot learn even
    these has a mistake in it.
    """

    def __init__(
        self,
        tokens: NDArray[Any] | Placed,
        batch_size: int,
        seq_len: int,
        *,
        seed: int,
        carry_state: bool = True,
        lengths: WindowLengths = "fixed",
        repeat: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        """Lay the streams out; reads no token.

        Args:
            tokens: ids of any integer type, [N]; a memory map stays one, and windows come from where they are placed.
            batch_size: B, streams of this process.
            seq_len: T, tokens in a window; a stream's last window may be shorter.
            seed: not negative; with the epoch's number it fixes the offset.
            carry_state: False makes every window `fresh`.
            lengths: fixed: T; random: around T, another each epoch, as many windows (see `window_lengths.py`).
            repeat: hand out the first so many windows only, 1 or more; None: all.
            rank: this process reads the streams [rank * B, (rank + 1) * B).
            world_size: number of processes.

        Raises:
            ValueError: there are fewer tokens than streams.
        """
        streams = batch_size * world_size
        if len(tokens) < streams:
            raise ValueError(f"{len(tokens)} tokens cannot fill {streams} streams")
        self._tokens = len(tokens)
        self._seq_len = seq_len
        self._seed = seed
        self._carry_state = carry_state
        self._stream_length = len(tokens) // streams
        first = np.arange(rank * batch_size, (rank + 1) * batch_size, dtype=np.int64) * self._stream_length
        self._lengths: WindowLengths = lengths
        most = longest(lengths, self._stream_length, seq_len)
        self._reader = _placed(tokens).reader(first, most + 1, circular=True)
        self._bounds: tuple[int, NDArray[np.int64]] | None = None  # those of an epoch
        self._cursor = Cursor(repeat)
        # Where lengths are random, a window's loss is divided by a whole window's tokens: each token counts alike.
        self._divisor = seq_len * streams if lengths == "random" else None

    def __len__(self) -> int:
        """Windows in an epoch."""
        return -(-self._stream_length // self._seq_len)

    def offset(self, epoch: int) -> int:
        """Where on the circle `epoch` starts: a pure function of (seed, epoch), the same with every numpy version."""
        word = np.random.SeedSequence((self._seed, epoch)).generate_state(1, np.uint64)[0]
        return int(word) % self._tokens

    def __iter__(self) -> Iterator[Batch]:
        """The next `len(self)` windows."""
        for _ in range(len(self)):
            yield self._cut(*self._cursor.take(len(self)))

    def _cut(self, epoch: int, window: int) -> Batch:
        begin, end = (int(bound) for bound in self._bounds_of(epoch)[window : window + 2])
        length = end - begin
        ids = self._reader.read(self.offset(epoch) + begin, length + 1)
        return Batch(ids[:-1], ids[1:], fresh=window == 0 or not self._carry_state, divisor=self._divisor)

    def _bounds_of(self, epoch: int) -> NDArray[np.int64]:
        """A pure function of (seed, epoch), too."""
        if self._bounds is None or (self._lengths == "random" and self._bounds[0] != epoch):
            self._bounds = epoch, bounds(self._lengths, self._stream_length, self._seq_len, (self._seed, epoch, 1))
        return self._bounds[1]

    def state_dict(self) -> dict[str, int]:
        """The place in the sequence: an epoch, and how many of its windows have been handed out."""
        return self._cursor.state_dict()

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on at a saved place; one past an epoch's last window is the next epoch's start.

        Raises:
            UserError: `state_dict` is not one that `state_dict()` gives.
        """
        self._cursor.load_state_dict(state_dict)


class Cursor:
    """Where an endless sequence of windows stands: (epoch, next window), with `repeat` within epoch 0's first ones."""

    def __init__(self, repeat: int | None = None) -> None:
        self._repeat = repeat
        self._epoch = 0
        self._window = 0

    def take(self, windows: int) -> tuple[int, int]:
        """The next (epoch, window), of so many `windows` in an epoch; the cursor is behind it from now on."""
        if self._repeat is not None:
            self._epoch, self._window = 0, self._window % min(self._repeat, windows)
        elif self._window >= windows:
            self._epoch, self._window = self._epoch + 1, 0
        self._window += 1  # before it is handed out: a checkpoint is written while the step is being taken
        return self._epoch, self._window - 1

    def state_dict(self) -> dict[str, int]:
        """An epoch, and how many of its windows have been handed out."""
        return {"epoch": self._epoch, "window": self._window}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on at a saved place.

        Raises:
            UserError: `state_dict` is not one that `state_dict()` gives.
        """
        epoch, window = state_dict.get("epoch"), state_dict.get("window")
        if not (_is_count(epoch) and _is_count(window)):
            raise UserError(
                f"the checkpoint's position in the training text is not valid: {dict(state_dict)!r:.200}\n"
                "use another checkpoint, or init_from= to start from its weights alone"
            )
        self._epoch, self._window = epoch, window


def _placed(tokens: NDArray[Any] | Placed) -> Placed:
    return tokens if isinstance(tokens, Placed) else ON_HOST.place(tokens)


def _is_count(value: object) -> TypeGuard[int]:
    return type(value) is int and value >= 0


class EvalWindows:
    """A split from its first token to its last, each token but the first predicted exactly once, the state carried.

    One stream would be exact but slow. So the P = N - 1 predictions are dealt to B streams that run side by side. A
    stream that starts in mid-text first reads `context` tokens whose targets are IGNORE; the first stream has a zero
    state for its past, as the text has. With S = ceil((P - context) / B) every stream reads S + context positions: the
    first scores all of them, each other its last S. Where the text ends before the last stream does, targets are
    IGNORE and inputs are the last token again.

    B shrinks until a stream scores at least as many tokens as it reads for context (down to 1), and until no stream is
    all padding. The first stream scores from its first position to its last, so no window is without a target.
    """

    def __init__(self, tokens: NDArray[Any] | Placed, batch_size: int, seq_len: int, *, context: int) -> None:
        """Lay the streams out; reads no token.

        Args:
            tokens: ids of any integer type, [N], N >= 2; a memory map stays one, and windows come from where they are
                placed.
            batch_size: most streams to run side by side.
            seq_len: T, tokens in a window; the last window may be shorter.
            context: tokens that each stream but the first reads before the first one it predicts.

        Raises:
            ValueError: there is nothing to predict.
        """
        predictions = len(tokens) - 1
        if predictions < 1:
            raise ValueError(f"{len(tokens)} tokens leave nothing to predict")
        self._tokens = len(tokens)
        self._seq_len = seq_len
        beyond = predictions - context  # what there is to deal out after the first stream's own start
        streams = max(1, min(batch_size, beyond // max(context, 1)))
        if streams > 1:
            streams = -(-beyond // -(-beyond // streams))  # fewer if rounding up leaves some without work
        self._context = context if streams > 1 else 0
        scored = -(-(predictions - self._context) // streams)
        self._stream_length = scored + self._context
        self._first = np.arange(streams, dtype=np.int64) * scored
        self._reader = _placed(tokens).reader(self._first, min(seq_len, self._stream_length) + 1, circular=False)
        self.batch_size = streams
        self.predictions = predictions

    def __len__(self) -> int:
        """Windows in the split."""
        return -(-self._stream_length // self._seq_len)

    def places(self) -> Iterator[NDArray[np.int64]]:
        """For each window, which of the split's predictions each of its targets is, [T, B]; what is IGNORE is none."""
        for begin in range(0, self._stream_length, self._seq_len):
            length = min(self._seq_len, self._stream_length - begin)
            yield self._first + begin + np.arange(length, dtype=np.int64)[:, None]

    def __iter__(self) -> Iterator[Batch]:
        for window in range(len(self)):
            begin = window * self._seq_len
            length = min(self._seq_len, self._stream_length - begin)
            ids = self._reader.read(begin, length + 1)
            yield Batch(ids[:-1], self._targets(ids[1:], begin), fresh=window == 0)

    def _targets(self, ids: Tensor, begin: int) -> Tensor:
        """`ids`, int64[T, B], without what is not to be predicted; the first are the successors of `begin`."""
        after = np.arange(begin + 1, begin + len(ids) + 1, dtype=np.int64)[:, None]
        padding = self._first[None, :] + after >= self._tokens
        if begin >= self._context and not padding.any():
            return ids
        targets = ids.masked_fill(torch.from_numpy(padding).to(ids.device), IGNORE)
        if begin < self._context:
            targets[: self._context - begin, 1:] = IGNORE
        return targets
