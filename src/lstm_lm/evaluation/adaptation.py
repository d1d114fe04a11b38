"""Dynamic evaluation: a model that continues to learn from text that it has been scored on.

Krause, Kahembwe, Murray and Renals, "Dynamic Evaluation of Neural Sequence Models" (ICML 2018). After each segment s of
the text the weights w take one step,

    w <- w - step_size * grad L(s) / (RMS + eps) + d * (w0 - w),    d = min(1, decay * RMS / mean(RMS)),

where w0 are the trained weights, and RMS, one number a weight, is the root mean square of the same gradient over
segments of the training text: weights that the text hardly moves are moved less far back.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from lstm_lm.data.streams import IGNORE, Batch, EvalWindows
from lstm_lm.data.token_stream import Placed
from lstm_lm.errors import UserError
from lstm_lm.evaluation.methods.interface import Subject
from lstm_lm.evaluation.token_losses import BlockSums, mixed, token_nats
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.models.state import detach

SEGMENTS_AT_A_PLACE = 10
"""Segments of training text that are read one after the other, before going on elsewhere."""


def gradient_rms(
    subject: Subject, text: Placed, length: int, streams: int, segments: int, context: int
) -> list[Tensor]:
    """Root mean square of the loss's gradient over segments from all over a text, for each parameter.

    Args:
        subject: the model.
        text: the training text, [N].
        length: tokens in a segment.
        streams: B, segments that one gradient is the mean of.
        segments: how many gradients, at most.
        context: tokens that are read before the first segment at a place.

    Raises:
        UserError: the text is shorter than a segment.
    """
    longest = len(text) - 1
    if longest < length:
        raise UserError(
            f"method.segment_length={length}: the training text has only {longest} tokens to learn from\n"
            "set a shorter one, or give more text"
        )
    in_a_row = min(SEGMENTS_AT_A_PLACE, segments, longest // length)
    context = min(context, longest - in_a_row * length)
    places = -(-segments // in_a_row)
    starts = np.linspace(0, longest - context - in_a_row * length, places * streams).astype(np.int64)
    parameters = list(subject.model.parameters())
    squares = [torch.zeros_like(parameter) for parameter in parameters]
    for place in range(places):
        reader = text.reader(starts[place::places], max(context, length) + 1, circular=False)
        state = subject.model.initial_state(streams)
        if context:
            with torch.no_grad(), mixed(subject.device, subject.autocast):
                _, state = subject.model(reader.read(0, context), state)
        for number in range(in_a_row):
            ids = reader.read(context + number * length, length + 1)
            loss, _, state = _loss(subject, Batch(ids[:-1], ids[1:], fresh=False), state)
            for square, gradient in zip(squares, gradients(loss, parameters), strict=True):
                square.addcmul_(gradient, gradient)
        subject.report("dynamic: gradients of training text", place + 1, places)
    return [(square / (places * in_a_row)).sqrt_() for square in squares]


class Adapter:
    """Takes the steps. What it changes is `parameters`, in place."""

    def __init__(
        self, parameters: Sequence[Tensor], rms: Sequence[Tensor], *, step_size: float, decay: float, epsilon: float
    ) -> None:
        """Take the weights as the ones to go back to.

        Args:
            parameters: the weights.
            rms: of each weight's gradient, as `gradient_rms` gives it.
            step_size: above 0.
            decay: 0 to 1.
            epsilon: as a share of the mean of `rms`.
        """
        self._parameters = list(parameters)
        self._trained = [parameter.detach().clone() for parameter in parameters]
        count = sum(one.numel() for one in rms)
        mean = float(sum(float(one.sum(dtype=torch.float64)) for one in rms)) / count
        mean = mean or 1.0  # no gradient anywhere: whatever is added, nothing moves
        self._scale = [step_size / (one + epsilon * mean) for one in rms]
        self._back = [(decay / mean * one).clamp_(max=1.0) for one in rms] if decay else []

    def learn(self, loss: Tensor) -> None:
        """One step on a segment's mean loss."""
        steps = gradients(loss, self._parameters)
        with torch.no_grad():
            if self._back:  # before the step, which is not part of what is taken back
                for parameter, trained, share in zip(self._parameters, self._trained, self._back, strict=True):
                    parameter.lerp_(trained, share)
            for parameter, gradient, scale in zip(self._parameters, steps, self._scale, strict=True):
                parameter.addcmul_(gradient, scale, value=-1.0)


@contextmanager
def restoring(model: LanguageModel) -> Iterator[None]:
    """Whatever the block does to the model's parameters, they are afterwards what they were."""
    kept = [parameter.detach().clone() for parameter in model.parameters()]
    try:
        yield
    finally:
        with torch.no_grad():
            for parameter, before in zip(model.parameters(), kept, strict=True):
                parameter.copy_(before)


def score_and_learn(subject: Subject, windows: EvalWindows, sums: BlockSums, adapter: Adapter, what: str) -> None:
    """Add the losses of `windows` to `sums`, each segment's before the model learns from it."""
    state = subject.model.initial_state(windows.batch_size)
    for number, (batch, places) in enumerate(zip(windows, windows.places(), strict=True)):
        loss, nats, state = _loss(subject, batch, state)
        sums.add(nats, batch.targets, places)
        adapter.learn(loss)
        subject.report(what, number + 1, len(windows))


def gradients(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """The gradient of each parameter; zeros where the loss does not depend on it."""
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)


def _loss(subject: Subject, batch: Batch, state: State) -> tuple[Tensor, Tensor, State]:
    """A segment's mean loss, with its graph; its tokens' losses `[T, B]`; and the state after it, without history."""
    with torch.enable_grad(), mixed(subject.device, subject.autocast):
        logits, state = subject.model(batch.inputs, state)
        nats = token_nats(logits, batch.targets)
        loss = nats.sum() / (batch.targets != IGNORE).sum()
    return loss, nats.detach(), detach(state)
