"""`method=static`: the model as it is reads every split once, the state carried, and is scored on every token.

As in validation (data/streams.py): every token but a split's first is predicted exactly once; of lines and documents
every token, each from a fresh state (data/lines.py). Besides the scores it says how sure they are (intervals.py), and
how fast the windows ran.
"""

import time
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from lstm_lm.data.corpora.interface import SPLITS, Split
from lstm_lm.data.lines import EvalLines
from lstm_lm.data.streams import EvalWindows
from lstm_lm.errors import UserError
from lstm_lm.evaluation.intervals import CONFIDENCE, block_count, neighbours_correlation, ratio_interval
from lstm_lm.evaluation.methods.interface import Method, Outcome, Subject
from lstm_lm.evaluation.scores import Scores, unknown_pieces
from lstm_lm.evaluation.token_losses import BlockSums, UnitSums, losses
from lstm_lm.options import Options
from lstm_lm.synchronize import synchronize

Count = Annotated[int, Field(ge=1)]


class StaticOptions(Options):
    """The `method` section of method=static."""

    name: str
    splits: list[Split] | None
    batch_size: Count | None
    seq_len: Count | None
    context: Annotated[int, Field(ge=0)] | None
    limit_windows: Count | None
    warmup_windows: Annotated[int, Field(ge=0)]
    blocks: Annotated[int, Field(ge=10, le=10_000)]


class Static(Method):
    """Scores and speed of each split."""

    OptionsType: ClassVar[type[Options]] = StaticOptions
    options: StaticOptions

    def evaluate(self, subject: Subject) -> Outcome:
        options = self.options
        splits = chosen_splits(subject, options.splits)
        windows = {split: self._windows(subject, split) for split in splits}
        largest = max(windows.values(), key=len)
        seq_len = options.seq_len or subject.windows.seq_len
        choice = subject.use_forward(subject.workload(largest.batch_size, seq_len))
        figures = {split: self._score(subject, split, windows[split]) for split in splits}
        return Outcome(choice, {"confidence": CONFIDENCE, "splits": figures})

    def _windows(self, subject: Subject, split: Split) -> EvalWindows | EvalLines:
        options, usual = self.options, subject.windows
        if subject.lines:
            for key in ("seq_len", "context"):
                if (value := getattr(options, key)) is not None:
                    raise UserError(f"method.{key}={value}: is for running text, and this run was trained on units")
            return EvalLines(subject.tokens[split], subject.lines[split], options.batch_size or usual.batch_size)
        return EvalWindows(
            subject.tokens[split],
            options.batch_size or usual.batch_size,
            options.seq_len or usual.seq_len,
            context=usual.context if options.context is None else options.context,
        )

    def _score(self, subject: Subject, split: Split, windows: EvalWindows | EvalLines) -> dict[str, Any]:
        blocks = block_count(windows.predictions, self.options.blocks)
        sums = BlockSums(windows.predictions, blocks, subject.sizes.vocabulary_size)
        units = UnitSums(subject.lines[split].lengths) if subject.dealt else None
        total = min(len(windows), self.options.limit_windows or len(windows))
        seconds: list[float] = []
        sizes: list[tuple[int, int]] = []
        predicted: list[int] = []
        loop = losses(subject.model, windows, device=subject.device, autocast=subject.autocast)
        places = windows.places()
        for number in range(total):
            synchronize(subject.device)
            began = time.perf_counter()
            batch, nats = next(loop)
            synchronize(subject.device)
            seconds.append(time.perf_counter() - began)
            sizes.append((batch.inputs.shape[0], batch.inputs.shape[1]))
            predicted.append(batch.tokens())
            place = next(places)
            sums.add(nats, batch.targets, place)
            if units is not None:
                units.add(nats, batch.targets, place)
            subject.report(f"static: {split}", number + 1, total)
        counts = subject.sizes.counts(sums.times)
        scores = Scores.of(sums.loss, counts, unknown_pieces(subject.replaced[split]))
        means = sums.means()
        return {
            "tokens": counts.tokens,
            "loss": scores.loss,
            "loss_interval": ratio_interval(
                *((sums.nats, sums.tokens) if units is None else (units.nats, units.tokens))
            ),
            "perplexity": scores.perplexity,
            "bits_per_character": scores.bits_per_character,
            "bits_per_byte": scores.bits_per_byte,
            "bits_per_byte_reason": scores.reason,
            "blocks": {
                "count": len(means),
                "tokens": round(counts.tokens / len(means)),
                "correlation": neighbours_correlation(means),
                "losses": means.tolist(),
            },
            "windows": {
                "scored": total,
                "of": len(windows),
                "batch_size": windows.batch_size,
                "seq_len": max(steps for steps, _ in sizes),
            },
            "speed": (
                speed_of_units(seconds, predicted, self.options.warmup_windows)
                if subject.lines
                else speed(seconds, sizes, self.options.warmup_windows)
            ),
        }


def chosen_splits(subject: Subject, asked: list[Split] | None) -> list[Split]:
    """The splits that are asked for, in their usual order; None: all there are.

    Raises:
        UserError: there is no such split.
    """
    there = [split for split in SPLITS if split in subject.tokens]
    for split in asked or ():
        if split not in there:
            raise UserError(f"method.splits: this text has no {split} split\nchoose from: {', '.join(there)}")
    return [split for split in there if split in asked] if asked else there


def speed(seconds: list[float], sizes: list[tuple[int, int]], warmup: int) -> dict[str, Any] | None:
    """Medians over whole windows, the first `warmup` left out; None: there are no others.

    Args:
        seconds: that each window took: cut out, read, scored.
        sizes: T and B of each.
        warmup: windows that do not count: caches fill, threads start.
    """
    whole = max(steps for steps, _ in sizes)
    taken = [time for time, (steps, _) in zip(seconds, sizes, strict=True) if steps == whole][warmup:]
    if not taken:
        return None
    return _times(taken, whole * sizes[0][1] / float(np.median(taken)))


def speed_of_units(seconds: list[float], predicted: list[int], warmup: int) -> dict[str, Any] | None:
    """As `speed`, of windows each of which has its own number of `predicted` tokens: all after the first `warmup`."""
    taken = seconds[warmup:]
    return _times(taken, sum(predicted[warmup:]) / sum(taken)) if taken else None


def _times(taken: list[float], tokens_per_second: float) -> dict[str, Any]:
    low, middle, high = np.quantile(taken, [0.1, 0.5, 0.9])
    return {
        "windows": len(taken),
        "tokens_per_second": tokens_per_second,
        "window_ms": float(middle) * 1000,
        "window_ms_interval": [float(low) * 1000, float(high) * 1000],
    }


METHOD = Static
