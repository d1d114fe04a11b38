"""Token ids, cut into what a language model reads and predicts: what data/streams.py and data/lines.py are held to.

Written anew from their docstrings and from what Lightning says of its limits; it shares no code with src/. What two
processes read is what one reads in twice as many streams.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

Amount = int | float | None
"""Lightning's: so many windows, or (up to 1.0) such a share of them; None: all."""


@dataclass(frozen=True)
class Settings:
    """What is trained, and how long; the names of conf/, but where said otherwise."""

    seed: int = 0
    unit: str = "window"
    batch_size: int = 2
    """Of all processes together."""
    seq_len: int = 4
    carry_state: bool = True
    lengths: tuple[tuple[int, ...], ...] = ()
    """With window_lengths=random, those that were drawn for each pass over the text; else nothing."""
    eval_batch_size: int = 2
    eval_context: int = 0
    optimizer: dict[str, Any] = field(default_factory=dict)
    scheduler: dict[str, Any] = field(default_factory=dict)
    averaging: dict[str, Any] = field(default_factory=dict)
    max_epochs: int = -1
    max_steps: int = -1
    accumulate_grad_batches: int = 1
    gradient_clip_val: float | None = None
    gradient_clip_algorithm: str = "norm"
    val_check_interval: Amount = None
    check_val_every_n_epoch: int | None = 1
    limit_train_batches: Amount = None
    limit_val_batches: Amount = None
    limit_test_batches: Amount = None
    overfit_batches: int | float = 0


class Text(NamedTuple):
    """Ids of each split, and the bytes that each id stands for."""

    train: Sequence[int]
    validation: Sequence[int]
    test: Sequence[int] | None
    spelled: Sequence[bytes]
    newline: int
    """Its id: what is read before a line."""


class Piece(NamedTuple):
    """B columns of T tokens, all [T, B]."""

    inputs: Tensor
    targets: Tensor
    scored: Tensor


class Window(NamedTuple):
    """What is read at once. More than one piece: none goes on where another ended."""

    pieces: list[Piece]
    fresh: bool


def amount(limit: Amount, there: int) -> int:
    """How many of `there` windows Lightning takes."""
    if limit is None:
        return there
    return int(there * limit) if isinstance(limit, float) and limit <= 1 else min(there, int(limit))


def columns(ids: Sequence[int], starts: Sequence[int], length: int, scored: Any = None) -> Piece:
    """`length` targets from each of `starts` on, on the circle of `ids`, each after the token before it."""
    at = torch.arange(length)[:, None] + torch.tensor(starts, dtype=torch.int64)[None, :]
    row = torch.tensor(list(ids))
    wanted = torch.ones(at.shape, dtype=torch.bool) if scored is None else scored
    return Piece(row[(at - 1) % len(row)], row[at % len(row)], wanted)


def words_of(seed: int, epoch: int, count: int) -> Any:
    """Chance that depends on nothing but (seed, epoch)."""
    return np.random.SeedSequence((seed, epoch)).generate_state(count, np.uint64)


def stream_windows(settings: Settings, ids: Sequence[int]) -> tuple[int, Iterator[Window]]:
    """How many windows a pass over the text has, and those of all passes."""
    length, seq_len = len(ids) // settings.batch_size, settings.seq_len
    count = math.ceil(length / seq_len)

    def all_windows() -> Iterator[Window]:
        epoch = 0
        while True:
            offset = int(words_of(settings.seed, epoch, 1)[0]) % len(ids)
            sizes = settings.lengths[epoch] if settings.lengths else [seq_len] * (count - 1)
            begin = 0
            for size in sizes if settings.lengths else [*sizes, length - seq_len * (count - 1)]:
                first = [offset + stream * length + begin + 1 for stream in range(settings.batch_size)]
                yield Window([columns(ids, first, size)], begin == 0 or not settings.carry_state)
                begin += size
            epoch += 1

    return count, all_windows()


def dealt(text: str, validation: float, test: float) -> dict[str, str]:
    """The lines of each split, as `data.split_seed=1` draws them: the least numbers validate, the next ones test."""
    lines = [line for line in text.split("\n") if line.strip()]
    numbers = {line: blake2b(line.strip().encode(), digest_size=8, salt=b"\0\0\0\1").hexdigest() for line in lines}
    different = sorted(set(numbers.values()))
    first = max(1, round(validation * len(different)))
    second = first + (max(1, round(test * len(different))) if test else 0)
    of_each = {"validation": different[:first], "test": different[first:second], "train": different[second:]}
    return {
        split: "".join(f"{line}\n" for line in lines if numbers[line] in set(those)) for split, those in of_each.items()
    }


class Line(NamedTuple):
    """A line, or a piece of a long one."""

    first: int
    tokens: int
    begins: bool


def lines_of(ids: Sequence[int], spelled: Sequence[bytes], longest: int) -> list[Line]:
    """Each line that is not blank; longer ones in as few pieces as it takes, about equal."""
    found: list[Line] = []
    begin = 0
    for end in range(1, len(ids) + 1):
        if end < len(ids) and b"\n" not in spelled[ids[end - 1]]:
            continue
        if b"".join(spelled[token] for token in ids[begin:end]).strip():
            parts = math.ceil((end - begin) / longest)
            cuts = [begin + (end - begin) * part // parts for part in range(parts + 1)]
            found += [Line(one, two - one, one == begin) for one, two in pairwise(cuts)]
        begin = end
    return found


def line_window(ids: Sequence[int], lines: Sequence[Line], newline: int) -> Window:
    """Lines beside each other; here those of one length, since then nothing is padded."""
    pieces = []
    for size in sorted({line.tokens for line in lines}):
        alike = [line for line in lines if line.tokens == size]
        pieces.append(columns(ids, [line.first for line in alike], size))
        pieces[-1].inputs[0, torch.tensor([line.begins for line in alike])] = newline
    return Window(pieces, True)


def line_windows(settings: Settings, text: Text) -> tuple[int, Iterator[Window]]:
    """As `stream_windows`."""
    lines = lines_of(text.train, text.spelled, settings.seq_len)
    batch = settings.batch_size
    count = len(lines) // batch

    def all_windows() -> Iterator[Window]:
        epoch = 0
        while True:
            order = np.argsort(words_of(settings.seed, epoch, len(lines)), kind="stable")
            for window in range(count):
                chosen = [lines[number] for number in order[window * batch : (window + 1) * batch]]
                yield line_window(text.train, chosen, text.newline)
            epoch += 1

    return count, all_windows()


def eval_windows(settings: Settings, text: Text, ids: Sequence[int]) -> list[Window]:
    """Of a split: each token but the first is scored once; of lines, each token."""
    batch, size = settings.eval_batch_size, settings.seq_len
    if settings.unit == "line":
        lines = lines_of(ids, text.spelled, size)
        return [line_window(ids, lines[at : at + batch], text.newline) for at in range(0, len(lines), batch)]
    predictions, context = len(ids) - 1, settings.eval_context
    for streams in range(batch, 1, -1):
        share = math.ceil((predictions - context) / streams)
        if (predictions - context) // streams >= context and context + (streams - 1) * share < predictions:
            break
    else:
        streams, context, share = 1, 0, predictions
    windows: list[Window] = []
    for begin in range(0, share + context, size):
        steps = torch.arange(begin, min(begin + size, share + context))[:, None]
        target = steps + share * torch.arange(streams)[None, :] + 1
        scored = (target <= predictions) & ((steps >= context) | (torch.arange(streams) == 0)[None, :])
        first = [stream * share + begin + 1 for stream in range(streams)]
        windows.append(Window([columns(ids, first, len(steps), scored)], begin == 0))
    return windows


def windows_of(settings: Settings, text: Text) -> dict[str, int]:
    """How many windows there are in a pass over each split."""
    splits = {"validation": text.validation, "test": text.test}
    train = line_windows(settings, text)[0] if settings.unit == "line" else stream_windows(settings, text.train)[0]
    found = {name: len(eval_windows(settings, text, ids)) for name, ids in splits.items() if ids is not None}
    return {"train": train, **found}
