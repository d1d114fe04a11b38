"""`optimizer=rmsprop`: steps divided by a running root mean square of the gradients."""

import torch
from torch.optim import Optimizer

from lstm_lm.training.optimizers.interface import Decay, Groups, OptimizerOptions, Rate


class RMSprop(OptimizerOptions):
    """torch.optim's RMSprop, of which there is no fused kernel."""

    alpha: Decay
    eps: Rate
    momentum: Decay

    @property
    def averages(self) -> int:
        return 1

    def make(self, groups: Groups, *, fused: bool, products: torch.dtype) -> Optimizer:  # noqa: ARG002
        return torch.optim.RMSprop(groups, lr=self.lr, alpha=self.alpha, eps=self.eps, momentum=self.momentum)


OPTIMIZER = RMSprop
