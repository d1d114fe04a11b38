"""`method=context`: the loss as a function of how much context the state has seen.

For each length c the model starts from a zero state, reads the c tokens before a position, and predicts the token
there. The positions are the same for every length, so that the curve compares like with like. The effective context is
the least length from which on the loss stays within a tolerance of that with the longest context (after Khandelwal et
al., "Sharp Nearby, Fuzzy Far Away: How Neural Language Models Use Context", ACL 2018, who shorten the context of a
trained model, too).
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.token_stream import Placed
from lstm_lm.errors import UserError
from lstm_lm.evaluation.intervals import CONFIDENCE, FEWEST, block_count, ratio_interval
from lstm_lm.evaluation.methods.interface import Method, Outcome, Subject
from lstm_lm.evaluation.methods.static import chosen_splits
from lstm_lm.evaluation.token_losses import mixed, token_nats
from lstm_lm.options import Options

USUAL = tuple(2**power for power in range(11))
"""1, 2, 4 ... 1024."""
MOST_LOGITS = 1 << 24
"""Numbers that one call of the model gives: 64 MiB of float32."""
LONGEST_CALL = 128
"""Steps that one call of the model takes."""
RESAMPLES = 1000
"""For the interval of the effective context."""
MOST_BLOCKS = 30
"""Contiguous parts of the text that intervals are taken over: positions close to each other depend on each other."""

Count = Annotated[int, Field(ge=1)]


class ContextOptions(Options):
    """The `method` section of method=context."""

    name: str
    split: Split | None
    positions: Annotated[int, Field(ge=10)]
    lengths: Annotated[list[Count], Field(min_length=1)] | None
    tolerance: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Count


class Context(Method):
    """The loss over the length of the context, and the effective context."""

    OptionsType: ClassVar[type[Options]] = ContextOptions
    options: ContextOptions
    no_units = "varies how much the model reads before a token, and each text begins with a fresh state: it is all read"

    def evaluate(self, subject: Subject) -> Outcome:
        options = self.options
        split = options.split or ("validation" if "validation" in subject.tokens else "test")
        chosen_splits(subject, [split])
        text = subject.tokens[split]
        lengths = self._lengths(subject, split, len(text))
        longest = lengths[-1]
        count = min(options.positions, len(text) - longest)
        positions = np.linspace(longest, len(text) - 1, count).astype(np.int64)
        batch_size = min(options.batch_size, count)
        choice = subject.use_forward(subject.workload(batch_size, min(longest, LONGEST_CALL)))
        nats = np.empty((len(lengths), count))
        done, total = 0, sum(lengths) * count
        for row, length in enumerate(lengths):
            for first in range(0, count, batch_size):
                part = positions[first : first + batch_size]
                nats[row, first : first + batch_size] = losses_after(subject, text, part, length)
                done += length * len(part)
                subject.report("context", done, total)
        blocks = blocks_of(positions)
        curve = [_point(length, row, nats[-1], blocks) for length, row in zip(lengths, nats, strict=True)]
        figures = {
            "confidence": CONFIDENCE,
            "split": split,
            "positions": count,
            "tolerance": options.tolerance,
            "effective_context": lengths[effective(nats.mean(axis=1), options.tolerance)],
            "effective_context_interval": effective_interval(nats, lengths, options.tolerance, blocks),
            "full_context": longest,
            "full_context_loss": float(nats[-1].mean()),
            "context_limit": subject.model.context_limit,
            "curve": curve,
        }
        return Outcome(choice, figures)

    def _lengths(self, subject: Subject, split: Split, tokens: int) -> list[int]:
        """Context lengths: those asked for, or those of the usual ones that model and text have; ascending.

        Raises:
            UserError: the model or the text has less context than is asked for.
        """
        asked, limit = self.options.lengths, subject.model.context_limit
        fewest = 10
        reach = tokens - fewest  # the longest that leaves that many positions
        if asked is None:
            most = min(reach // 2, limit or USUAL[-1], USUAL[-1])
            found = [length for length in USUAL if length <= most]
            if not found:
                raise UserError(f"method=context: the {split} text is too short: {tokens} tokens\ngive more text")
            return sorted({*found, most}) if limit == most else found  # the curve ends with all that a model holds
        longest = max(asked)
        if limit is not None and longest > limit:
            raise UserError(
                f"method.lengths: a context of {longest} tokens is more than this model holds: {limit}\n"
                f"leave out what is longer, or leave method.lengths=null"
            )
        if longest > reach:
            raise UserError(
                f"method.lengths: a context of {longest} tokens is too long for the {split} text "
                f"of {tokens} tokens\nset at most {max(reach, 0)}, or give more text"
            )
        return sorted(set(asked))


def losses_after(subject: Subject, text: Placed, positions: NDArray[np.int64], length: int) -> NDArray[np.float64]:
    """The loss of the token at each position, [M], for a state that has read the `length` tokens before it alone."""
    count = len(positions)
    steps = max(1, min(LONGEST_CALL, length, MOST_LOGITS // (count * subject.sizes.vocabulary_size)))
    reader = text.reader(positions - length, steps + 1, circular=False)
    state: Any = subject.model.initial_state(count)
    read = 0
    with torch.no_grad(), mixed(subject.device, subject.autocast):
        while True:
            now = min(steps, length - read)
            ids = reader.read(read, now + 1)
            logits, state = subject.model(ids[:-1], state)
            read += now
            if read == length:
                nats = token_nats(logits[-1:], ids[-1:])[0]
                return np.asarray(nats.cpu().numpy(), dtype=np.float64)


def effective(losses: NDArray[np.float64], tolerance: float) -> int:
    """Index of the first of `losses`, [K], from which on all stay within `tolerance` of the last."""
    outside = np.flatnonzero(losses > (1 + tolerance) * losses[-1])
    return int(outside[-1]) + 1 if len(outside) else 0


def blocks_of(positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each of ascending `positions`, [M], the number of its block: blocks cover equal lengths of the text."""
    span = int(positions[-1] - positions[0]) + 1
    count = min(block_count(span, MOST_BLOCKS), len(positions))
    return np.asarray((positions - positions[0]) * count // span, dtype=np.int64)


def effective_interval(
    nats: NDArray[np.float64], lengths: Sequence[int], tolerance: float, blocks: NDArray[np.int64]
) -> list[int] | None:
    """Between which lengths it lies; None: too few blocks to say.

    Percentiles of a bootstrap over whole blocks of the positions of `nats`, [K, M].
    """
    sizes = np.bincount(blocks)
    count = len(sizes)
    if count < FEWEST:
        return None
    sums = np.stack([_sums(row, blocks) for row in nats])  # [K, blocks]
    chance = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES):
        times = chance.multinomial(count, np.full(count, 1 / count))
        found.append(lengths[effective(sums @ times / (sizes @ times), tolerance)])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(found, [tail, 1 - tail], method="nearest")
    return [int(low), int(high)]


def _point(
    length: int, nats: NDArray[np.float64], full: NDArray[np.float64], blocks: NDArray[np.int64]
) -> dict[str, Any]:
    """One point of the curve: the mean of `nats`, [M], and of what it is above `full`, that of the longest context."""
    sizes = np.bincount(blocks)
    return {
        "length": length,
        "loss": float(nats.mean()),
        "loss_interval": ratio_interval(_sums(nats, blocks), sizes),
        "excess": float((nats - full).mean()),
        "excess_interval": ratio_interval(_sums(nats - full, blocks), sizes),
    }


def _sums(values: NDArray[np.float64], blocks: NDArray[np.int64]) -> NDArray[np.float64]:
    """`values`, [M], added up by block."""
    return np.asarray(np.bincount(blocks, values), dtype=np.float64)


METHOD = Context
