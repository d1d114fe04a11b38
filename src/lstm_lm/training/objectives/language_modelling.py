"""Language modelling: the cross-entropy of each next token."""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from lstm_lm.data.streams import IGNORE, Batch
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.options import Options
from lstm_lm.training.objectives.interface import Loss, Objective


class LanguageModellingOptions(Options):
    """`objective=language_modelling`."""

    name: str


class LanguageModelling(Objective):
    """The mean cross-entropy over all targets that are not IGNORE, in float32 whatever the logits are in."""

    OptionsType: ClassVar[type[Options]] = LanguageModellingOptions

    def __init__(self, options: LanguageModellingOptions, model_options: Options) -> None:
        super().__init__(options, model_options)
        self._summed = summed_cross_entropy

    def compile(self, mode: str) -> None:
        """As in `Objective.compile`."""
        self._summed = torch.compile(summed_cross_entropy, mode=mode, fullgraph=True, dynamic=True)

    def loss(self, model: LanguageModel, batch: Batch, state: State) -> Loss:
        """As in `Objective.loss`."""
        logits, state = model(batch.inputs, state)
        nats = self._summed(logits, batch.targets)
        tokens = (batch.targets != IGNORE).sum()
        return Loss(nats / tokens.clamp(min=1), state, nats.detach(), tokens)


def summed_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """`logits[T, B, V]`, `targets[T, B]` -> scalar; float32, or float64 where the logits are."""
    rows = logits.flatten(0, 1)
    if rows.element_size() < 4:
        rows = rows.float()
    return cross_entropy(rows, targets.flatten(), ignore_index=IGNORE, reduction="sum")


OBJECTIVE = LanguageModelling
