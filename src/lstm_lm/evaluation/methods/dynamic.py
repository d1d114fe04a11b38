"""`method=dynamic`: the model continues to learn from the text that it has been scored on (evaluation/adaptation.py).

Every token is scored before the model learns from it. Step size and decay are chosen on text that is not scored. With
one stream the text is read in its own order, which is the definition; with several, side by side, a token may profit
from what another stream has read further on in the text.
"""

import itertools
import math
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.streams import EvalWindows
from lstm_lm.data.token_stream import Placed
from lstm_lm.errors import UserError
from lstm_lm.evaluation.adaptation import Adapter, gradient_rms, restoring, score_and_learn
from lstm_lm.evaluation.intervals import CONFIDENCE, block_count, ratio_interval
from lstm_lm.evaluation.methods.interface import Method, Outcome, Subject
from lstm_lm.evaluation.scores import Scores, unknown_pieces
from lstm_lm.evaluation.token_losses import BlockSums, losses
from lstm_lm.options import Options

Count = Annotated[int, Field(ge=1)]
Several = Field(min_length=1, max_length=100)


class DynamicOptions(Options):
    """The `method` section of method=dynamic."""

    name: str
    split: Literal["validation", "test"] | None
    segment_length: Count
    streams: Count
    step_sizes: Annotated[list[Annotated[float, Field(gt=0)]], Several]
    decays: Annotated[list[Annotated[float, Field(ge=0, le=1)]], Several]
    tuning_tokens: Annotated[int, Field(ge=2)]
    statistics_segments: Count
    epsilon: Annotated[float, Field(gt=0)]
    blocks: Annotated[int, Field(ge=10, le=10_000)]


class _Texts(NamedTuple):
    scored: Split
    tuning: Placed
    tuning_name: str
    training: Placed
    """The training text, without what is tuned on."""


class Dynamic(Method):
    """Scores of one split, with what was gained over the model as it is."""

    OptionsType: ClassVar[type[Options]] = DynamicOptions
    options: DynamicOptions
    no_units = "learns from what stands before, and texts that were drawn at random have nothing before them"

    def evaluate(self, subject: Subject) -> Outcome:
        options = self.options
        if subject.dtype.itemsize < 4 or subject.autocast == torch.float16:
            raise UserError(
                "method=dynamic: its small steps are lost in 16 bits\nuse precision=32-true, 64-true or bf16-mixed"
            )
        texts = self._texts(subject)
        choice = subject.use_forward(subject.workload(options.streams, options.segment_length, training=True))
        context = subject.windows.context
        rms = gradient_rms(
            subject, texts.training, options.segment_length, options.streams, options.statistics_segments, context
        )
        grid, step_size, decay = self._choose(subject, texts, rms)
        text = subject.tokens[texts.scored]
        before = self._static(subject, text, texts.scored)
        after = self._dynamic(subject, text, rms, step_size, decay, f"dynamic: {texts.scored}")
        unknown = unknown_pieces(subject.replaced[texts.scored])
        scores = Scores.of(after.loss, subject.sizes.counts(after.times), unknown)
        figures = {
            "confidence": CONFIDENCE,
            "split": texts.scored,
            "tokens": int(after.tokens.sum()),
            "loss": scores.loss,
            "loss_interval": ratio_interval(after.nats, after.tokens),
            "perplexity": scores.perplexity,
            "bits_per_character": scores.bits_per_character,
            "bits_per_byte": scores.bits_per_byte,
            "bits_per_byte_reason": scores.reason,
            "static_loss": before.loss,
            "gain": before.loss - after.loss,
            "gain_interval": ratio_interval(before.nats - after.nats, after.tokens),
            "order": "the text's own" if options.streams == 1 else f"{options.streams} streams side by side",
            "step_size": step_size,
            "decay": decay,
            "chosen_on": {"text": texts.tuning_name, "tokens": len(texts.tuning), "grid": grid},
            "blocks": {"losses": after.means().tolist(), "static_losses": before.means().tolist()},
        }
        return Outcome(choice, figures)

    def _texts(self, subject: Subject) -> _Texts:
        there = subject.tokens
        scored: Split = self.options.split or ("test" if "test" in there else "validation")
        if scored not in there:
            raise UserError(f"method.split={scored}: this text has no such split\nchoose from: {', '.join(there)}")
        if "train" not in there:
            raise UserError(
                "method=dynamic: chooses its steps on text that it does not score, and this text is whole\n"
                "have its end scored, as with data.validation_fraction=0.5"
            )
        training = there["train"]
        if scored == "test" and "validation" in there:
            count = min(self.options.tuning_tokens, len(there["validation"]))
            return _Texts(scored, _part(there["validation"], 0, count), "validation, its start", training)
        count = min(self.options.tuning_tokens, len(training) // 2)
        cut = len(training) - count
        return _Texts(scored, _part(training, cut, len(training)), "train, its end", _part(training, 0, cut))

    def _choose(self, subject: Subject, texts: _Texts, rms: list[Any]) -> tuple[list[dict[str, Any]], float, float]:
        """What was tried, and the best of it; where there is nothing to choose from, nothing is tried."""
        options = self.options
        settings = list(itertools.product(options.step_sizes, options.decays))
        if len(settings) == 1:
            return [], *settings[0]
        grid = []
        for number, (step_size, decay) in enumerate(settings):
            what = f"dynamic: choosing, {number + 1} of {len(settings)}"
            loss = self._dynamic(subject, texts.tuning, rms, step_size, decay, what).loss
            grid.append({"step_size": step_size, "decay": decay, "loss": loss})
        best = min(grid, key=lambda tried: tried["loss"] if math.isfinite(tried["loss"]) else math.inf)
        static = self._static(subject, texts.tuning, "choosing").loss
        return [{"step_size": 0.0, "decay": 0.0, "loss": static}, *grid], best["step_size"], best["decay"]

    def _static(self, subject: Subject, text: Placed, what: str) -> BlockSums:
        """The model as it is, on the same blocks."""
        usual = subject.windows
        sums = self._sums(subject, text)
        windows = EvalWindows(text, usual.batch_size, usual.seq_len, context=usual.context)
        found = losses(subject.model, windows, device=subject.device, autocast=subject.autocast)
        for number, ((batch, nats), places) in enumerate(zip(found, windows.places(), strict=True), 1):
            sums.add(nats, batch.targets, places)
            subject.report(f"static: {what}", number, len(windows))
        return sums

    def _dynamic(
        self, subject: Subject, text: Placed, rms: list[Any], step_size: float, decay: float, what: str
    ) -> BlockSums:
        options = self.options
        sums = self._sums(subject, text)
        context = subject.windows.context if options.streams > 1 else 0
        windows = EvalWindows(text, options.streams, options.segment_length, context=context)
        with restoring(subject.model):
            parameters = list(subject.model.parameters())
            adapter = Adapter(parameters, rms, step_size=step_size, decay=decay, epsilon=options.epsilon)
            score_and_learn(subject, windows, sums, adapter, what)
        return sums

    def _sums(self, subject: Subject, text: Placed) -> BlockSums:
        predictions = len(text) - 1
        return BlockSums(predictions, block_count(predictions, self.options.blocks), subject.sizes.vocabulary_size)


def _part(text: Placed, start: int, stop: int) -> Placed:
    """Tokens `start` to `stop` of a text, where they lie."""
    on_device = None if text.on_device is None else text.on_device[start:stop]
    return Placed(text.device, text.host[start:stop], on_device)


METHOD = Dynamic
