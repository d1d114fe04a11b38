"""`optimizer=adamw`: Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch.optim import Optimizer

from lstm_lm.training.optimizers.interface import Decay, Groups, OptimizerOptions, Rate


class AdamW(OptimizerOptions):
    """torch.optim's AdamW."""

    averages: ClassVar[int] = 2
    betas: Annotated[list[Decay], Field(min_length=2, max_length=2)]
    eps: Rate

    def make(self, groups: Groups, *, fused: bool, products: torch.dtype) -> Optimizer:  # noqa: ARG002
        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.betas[0], self.betas[1]), eps=self.eps, fused=fused)


OPTIMIZER = AdamW
