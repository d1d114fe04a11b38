"""A running average of a model's weights, put in the weights' place wherever the model is used and not trained.

Training continues with the weights themselves, untouched: putting the average in their place copies them away and back,
bit by bit. They stay the same tensors, so optimizers, vendors' layouts and CUDA graphs do not notice.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lstm_lm.training.averaging.interface import Averaging


class WeightAverage:
    """The average that `rule` describes, of all of a model's parameters, each beside its parameter."""

    def __init__(self, model: nn.Module, rule: Averaging) -> None:
        self._model = model
        self._rule = rule
        self._steps = 0
        self._losses: list[float] = []
        self._begun = False
        self._values: list[Tensor] = []
        self._held: list[Tensor] | None = None
        """The weights, while the average is in their place."""
        self.count = 0
        """How many steps' weights are in the average; 0: there is none yet."""

    @property
    def is_missing(self) -> bool:
        """Whether an average is wanted and has not begun."""
        return self._rule.wanted and not self.count

    def after_step(self) -> None:
        """Take in the weights after an optimizer step, once the rule has said so."""
        self._steps += 1
        self._begun = self._begun or self._rule.begins(self._steps, self._losses)
        if not self._begun:
            return
        self.count += 1
        weights = self._weights()
        if self.count == 1:  # in 32 bits at least: small steps are lost in 16
            self._values = [each.to(torch.promote_types(each.dtype, torch.float32), copy=True) for each in weights]
        else:
            wide = [weight.to(value.dtype) for weight, value in zip(weights, self._values, strict=True)]
            torch._foreach_lerp_(self._values, wide, self._rule.weight(self.count))

    def note_validation(self, loss: float) -> None:
        """Take note of what a validation in training has found, nats per token; what is no number says nothing."""
        if self._rule.needs_validation and not self._begun and math.isfinite(loss):
            self._losses.append(loss)
            self._begun = self._rule.begins(self._steps + 1, self._losses)

    def forget_validations(self) -> None:
        """Drop their losses: those to come are of other tokens. An average that has begun stays."""
        self._losses = []

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with its average, where there is one, for as long as the context lasts."""
        if self._held is not None:  # it is there already
            yield
            return
        self.put()
        try:
            yield
        finally:
            self.take_back()

    @torch.no_grad()
    def put(self) -> None:
        """Put the average in the weights' place until `take_back`; do nothing where there is none."""
        if self.count and self._held is None:
            weights = self._weights()
            self._held = [weight.clone() for weight in weights]
            self._copy(weights)

    @torch.no_grad()
    def take_back(self) -> None:
        """Put the weights back where they were."""
        if self._held is not None:
            torch._foreach_copy_(self._weights(), self._held)
            self._held = None

    @torch.no_grad()
    def keep(self) -> None:
        """Put the average in the weights' place for good: training is over."""
        if self.count:
            self._copy(self._weights())
        self.forget()

    def forget(self) -> None:
        """Drop it: the model has the weights that it is to have."""
        self.count, self._values = 0, []

    def beside_parameters(self) -> None:
        """Move each average to its parameter's device: checkpoints are read onto one."""
        with torch.inference_mode(mode=False):  # a validation may be the first to ask, and training continues with them
            pairs = zip(self._values, self._weights(), strict=False)  # there may be none yet
            self._values = [value.to(weight.device) for value, weight in pairs]

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint. "weights" has all of the model's names for a parameter, tied ones too.

        Raises:
            RuntimeError: the average is in the weights' place, and the checkpoint would lack those.
        """
        if self._held is not None:
            raise RuntimeError("a checkpoint was asked for while the average is in the weights' place")
        values = dict(zip(map(id, self._model.parameters()), self._values, strict=False))
        return {
            "weights": {name: values[id(weight)] for name, weight in self._named() if values},
            "count": self.count,
            "steps": self._steps,
            "losses": list(self._losses),
            "begun": self._begun,
            "options": self._rule.model_dump(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave; after another rule's (resume=force), this one starts from scratch."""
        if state["options"] != self._rule.model_dump():
            return
        weights = state["weights"]
        self._values = [weights[name] for name, _ in self._model.named_parameters()] if weights else []
        self.count, self._steps = state["count"], state["steps"]
        self._losses, self._begun = list(state["losses"]), state["begun"]

    def like_weights(self) -> dict[str, Tensor]:
        """All of the model's names for a parameter, each with it: what "weights" of a state is to be like."""
        return {name: weight.detach() for name, weight in self._named()}

    def _named(self) -> Iterator[tuple[str, nn.Parameter]]:
        return self._model.named_parameters(remove_duplicate=False)

    def _weights(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self._model.parameters()]

    def _copy(self, weights: list[Tensor]) -> None:
        self.beside_parameters()
        torch._foreach_copy_(weights, self._values)
