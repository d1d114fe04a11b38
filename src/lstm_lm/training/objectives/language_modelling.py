"""Language modelling: the cross-entropy of each next token, and what may be added to it in training.

Sources: label smoothing after Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016,
section 7; activation and temporal activation regularisation after Merity, McCann and Socher, "Revisiting Activation
Regularization for Language RNNs", 2017, as means over all numbers of the steps that are predicted.
"""

from collections.abc import Callable
from typing import Annotated, NamedTuple

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor
from torch.nn import functional as F

from lstm_lm.data.streams import IGNORE, Batch
from lstm_lm.errors import UserError
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.training.objectives.interface import Loss, Objective

Strength = Annotated[float, Field(ge=0, le=1000)]


class CrossEntropy(NamedTuple):
    """Summed over all targets that are not IGNORE; scalars, float32, or float64 where the logits are."""

    nats: Tensor
    """Of the targets."""
    smoothed: Tensor
    """Of the targets, each mixed with the uniform distribution over the vocabulary."""


def summed_cross_entropy(logits: Tensor, targets: Tensor, smoothing: float = 0.0) -> CrossEntropy:
    """Of `logits[T, B, V]` and `targets[T, B]`; `smoothing` is the uniform distribution's share, 0 <= it < 1."""
    rows, targets = logits.flatten(0, 1), targets.flatten()
    if rows.element_size() < 4:
        rows = rows.float()
    if not smoothing:
        nats = F.cross_entropy(rows, targets, ignore_index=IGNORE, reduction="sum")
        return CrossEntropy(nats, nats)
    log_p = F.log_softmax(rows, dim=-1)
    nats = F.nll_loss(log_p, targets, ignore_index=IGNORE, reduction="sum")
    uniform = -(log_p.mean(-1) * (targets != IGNORE)).sum()
    return CrossEntropy(nats, (1 - smoothing) * nats + smoothing * uniform)


def mean_square(x: Tensor, there: Tensor) -> Tensor:
    """Of `x[T, B, H]` where `there[T, B]`, in float32 at least: squares of small numbers are lost in 16 bits."""
    squares = (x if x.element_size() >= 4 else x.float()).square().mean(-1)
    return (squares * there).sum() / there.sum().clamp(min=1)


class CrossEntropyObjective(Objective):
    """An objective that sums a cross-entropy, which is all that lies between the model's outputs and the loss."""

    _summed: Callable[[Tensor, Tensor, float], CrossEntropy] = PrivateAttr(default_factory=lambda: summed_cross_entropy)

    def compile(self, mode: str) -> None:
        self._summed = torch.compile(summed_cross_entropy, mode=mode, fullgraph=True, dynamic=True)


class LanguageModelling(CrossEntropyObjective):
    """The mean cross-entropy over all targets that are not IGNORE, in float32 whatever the logits are in."""

    label_smoothing: Annotated[float, Field(ge=0, lt=1)]
    activation_regularisation: Strength
    temporal_activation_regularisation: Strength

    @property
    def on_activations(self) -> list[str]:
        """Keys in use that act on the last layer's outputs."""
        keys = ("activation_regularisation", "temporal_activation_regularisation")
        return [key for key in keys if getattr(self, key)]

    def check(self, model: type[LanguageModel], name: str) -> None:
        if self.on_activations and not model.hands_out_hidden:
            key = self.on_activations[0]
            raise UserError(f"objective.{key}={getattr(self, key)}: model={name} hands out no layer's outputs; set 0")

    def loss(self, model: LanguageModel, batch: Batch, state: State) -> Loss:
        there = batch.targets != IGNORE
        penalty: Tensor | float = 0.0
        if model.training and self.on_activations:
            outputs = model.forward_with_hidden(batch.inputs, state)
            logits, state = outputs.logits, outputs.state
            if self.activation_regularisation:
                penalty = self.activation_regularisation * mean_square(outputs.dropped, there)
            if self.temporal_activation_regularisation and len(outputs.hidden) > 1:
                steps = outputs.hidden[1:] - outputs.hidden[:-1]
                penalty = penalty + self.temporal_activation_regularisation * mean_square(steps, there[1:])
        else:
            logits, state = model(batch.inputs, state)
        smoothing = self.label_smoothing if model.training else 0.0
        summed = self._summed(logits, batch.targets, smoothing)
        return Loss(summed.smoothed / there.sum().clamp(min=1) + penalty, state, summed.nats.detach())


OBJECTIVE = LanguageModelling
