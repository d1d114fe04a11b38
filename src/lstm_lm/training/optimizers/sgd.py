"""`optimizer=sgd`: stochastic gradient descent, with momentum where that is asked for."""

from typing import Self

import torch
from pydantic import model_validator
from torch.optim import Optimizer

from lstm_lm.training.optimizers.interface import Decay, Groups, OptimizerOptions


class SGD(OptimizerOptions):
    """torch.optim's SGD."""

    momentum: Decay
    nesterov: bool

    @model_validator(mode="after")
    def _nesterov_has_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov=true needs optimizer.momentum above 0")
        return self

    @property
    def leaves_out_overflows(self) -> bool:
        """False with momentum: a first step that is left out leaves a momentum that is whatever the memory held."""
        return self.momentum == 0

    def make(self, groups: Groups, *, fused: bool, products: torch.dtype) -> Optimizer:  # noqa: ARG002
        return torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, nesterov=self.nesterov, fused=fused)


OPTIMIZER = SGD
