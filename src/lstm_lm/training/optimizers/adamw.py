"""`optimizer=adamw`: Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

from typing import Annotated

import torch
from pydantic import Field
from torch.optim import Optimizer

from lstm_lm.training.optimizers.interface import Decay, Groups, OptimizerOptions, Rate


class AdamW(OptimizerOptions):
    """torch.optim's AdamW."""

    betas: Annotated[list[Decay], Field(min_length=2, max_length=2)]
    eps: Rate

    @property
    def averages(self) -> int:
        return 2

    def make(self, groups: Groups, *, fused: bool, products: torch.dtype) -> Optimizer:  # noqa: ARG002
        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.betas[0], self.betas[1]), eps=self.eps, fused=fused)


OPTIMIZER = AdamW
