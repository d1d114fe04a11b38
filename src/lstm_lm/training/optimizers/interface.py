"""What an optimizer is: the checked `optimizer` section, and how the optimizer is made that it describes."""

from abc import ABC, abstractmethod
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn
from torch.optim import Optimizer

from lstm_lm.options import Options

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Groups = list[dict[str, Any]]
"""Parameters ("params") that share settings, as torch.optim takes them."""


class OptimizerOptions(Options, ABC):
    """Its fields are the keys of the `optimizer` section. Its module holds the class as the constant `OPTIMIZER`."""

    name: str
    lr: Rate
    weight_decay: NonNegative

    @property
    def averages(self) -> int:
        """Numbers that it keeps for each parameter at least: a model is refused that has no room for them."""
        return 0

    @property
    def leaves_out_overflows(self) -> bool:
        """Whether a step that its fused kernel leaves out, for an overflow, leaves everything as it was."""
        return True

    @property
    def warning(self) -> str | None:
        """What a person should know of these settings before the first step."""
        return None

    def description(self, model: nn.Module) -> str:  # noqa: ARG002
        """Which of `model`'s parameters it moves how, in one line."""
        return f"{self.name}, peak learning rate {self.lr:g}"

    def groups(self, model: nn.Module) -> Groups:
        """Each trained parameter of `model` in one group: matrices decay, biases and norms (one dimension) do not."""
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        return [
            {"params": [each for each in parameters if each.ndim >= 2], "weight_decay": self.weight_decay},
            {"params": [each for each in parameters if each.ndim < 2], "weight_decay": 0.0},
        ]

    @abstractmethod
    def make(self, groups: Groups, *, fused: bool, products: torch.dtype) -> Optimizer:
        """One optimizer for all of what `groups` gave.

        Args:
            groups: all of it.
            fused: with PyTorch's fused kernel, where it has one.
            products: the type that large matrices may be multiplied in, where it multiplies any.
        """
