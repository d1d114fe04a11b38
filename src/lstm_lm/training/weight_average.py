"""A running average of a model's weights, put in the weights' place wherever the model is used and not trained.

Training goes on with the weights themselves, untouched: putting the average in their place copies them away and back,
bit by bit. They stay the same tensors, so optimizers, vendors' layouts and CUDA graphs do not notice.
"""

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
        self._count = 0
        self._values: list[Tensor] = []
        self._in_use = False

    @property
    def count(self) -> int:
        """How many steps' weights are in the average; 0: there is none yet."""
        return self._count

    @property
    def is_missing(self) -> bool:
        """Whether an average is wanted and has not begun."""
        return self._rule.wanted and not self._count

    def after_step(self) -> None:
        """Take in the weights after an optimizer step, where the rule says so."""
        self._steps += 1
        if not self._rule.begins(self._steps):
            return
        self._count += 1
        weights = self._weights()
        if self._count == 1:
            self._values = [weight.to(_type(weight), copy=True) for weight in weights]
            return
        wide = [weight.to(value.dtype) for weight, value in zip(weights, self._values, strict=True)]
        torch._foreach_lerp_(self._values, wide, self._rule.share(self._count))

    def note_validation(self, loss: float) -> None:
        """Tell the rule what a validation in training has found, nats per token."""
        self._rule.note_validation(loss)

    def forget_validations(self) -> None:
        """Tell the rule that those so far scored other tokens."""
        self._rule.forget_validations()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model with its average, where there is one, for as long as the context lasts."""
        held = self.put()
        try:
            yield
        finally:
            self.take_back(held)

    @torch.no_grad()
    def put(self) -> list[Tensor] | None:
        """Put the average in the weights' place; gives what `take_back` needs. Does nothing where there is none."""
        if not self._count or self._in_use:
            return None
        self._in_use = True
        weights = self._weights()
        held = [weight.clone() for weight in weights]
        self._copy(weights)
        return held

    @torch.no_grad()
    def take_back(self, held: list[Tensor] | None) -> None:
        """Put the weights back where they were."""
        if held is not None:
            torch._foreach_copy_(self._weights(), held)
            self._in_use = False

    @torch.no_grad()
    def keep(self) -> None:
        """Put the average in the weights' place for good: training is over."""
        if self._count:
            self._copy(self._weights())
        self.forget()

    def forget(self) -> None:
        """Drop it: the model has the weights that it is to have."""
        self._count, self._values = 0, []

    def beside_parameters(self) -> None:
        """Move each average to its parameter's device: checkpoints are read onto one."""
        if self._values:
            with torch.inference_mode(
                mode=False
            ):  # a validation may be the first to ask, and training goes on with them
                self._values = [
                    value.to(weight.device) for value, weight in zip(self._values, self._weights(), strict=True)
                ]

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint. "weights" has all of the model's names for a parameter, tied ones too.

        Raises:
            RuntimeError: the average is in the weights' place, and the checkpoint would lack those.
        """
        if self._in_use:
            raise RuntimeError("a checkpoint was asked for while the average is in the weights' place")
        values = dict(zip(map(id, self._model.parameters()), self._values, strict=False))
        named = self._model.named_parameters(remove_duplicate=False) if values else ()
        return {
            "weights": {name: values[id(parameter)] for name, parameter in named},
            "count": self._count,
            "steps": self._steps,
            "options": self._rule.options.model_dump(),
            "rule": self._rule.state_dict(),
        }

    def like_weights(self) -> dict[str, Tensor]:
        """All of the model's names for a parameter, each with it: what "weights" of a state is to be like."""
        return {name: weight.detach() for name, weight in self._model.named_parameters(remove_duplicate=False)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; where that was another rule's (resume=force), this one begins anew."""
        if state["options"] != self._rule.options.model_dump():
            return
        weights = state["weights"]
        self._count, self._steps = state["count"], state["steps"]
        self._values = [weights[name] for name, _ in self._model.named_parameters()] if weights else []
        self._rule.load_state_dict(state["rule"])

    def _weights(self) -> list[Tensor]:
        return [parameter.detach() for parameter in self._model.parameters()]

    def _copy(self, weights: list[Tensor]) -> None:
        self.beside_parameters()
        torch._foreach_copy_(weights, self._values)


def _type(weight: Tensor) -> torch.dtype:
    """Small steps are lost in 16 bits."""
    return torch.promote_types(weight.dtype, torch.float32)
