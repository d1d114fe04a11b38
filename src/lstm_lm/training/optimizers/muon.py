"""`optimizer=muon`: orthogonal steps for the matrices between embedding and output, AdamW's for the rest."""

from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.optim import Optimizer

from lstm_lm.errors import UserError
from lstm_lm.training.muon import MOST_ITERATIONS, Muon
from lstm_lm.training.optimizers.adamw import AdamW
from lstm_lm.training.optimizers.interface import Decay, Groups

USUAL_RATES = (5e-3, 0.1)
MOST_DAMPING = 1e3
"""Directions keep all of their strength long before."""


class MuonOptions(AdamW):
    """What AdamW takes, for the rest of the parameters, and its own."""

    momentum: Decay
    iterations: Annotated[int, Field(ge=1, le=MOST_ITERATIONS)]
    refresh: Annotated[int, Field(ge=1)]
    blocks: Annotated[int, Field(ge=1)]
    damping: Annotated[float, Field(ge=0, le=MOST_DAMPING)]

    @property
    def warning(self) -> str | None:
        low, high = USUAL_RATES
        if low <= self.lr <= high:
            return None
        return f"optimizer.lr={self.lr:g}: Muon usually wants {low:g} to {high:g}; AdamW's are lower"

    def description(self, model: nn.Module) -> str:
        matrices = inner_matrices(model)
        numbers = sum(matrix.numel() for matrix in matrices)
        share = numbers / sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        damped = f", damping {self.damping:g}" if self.damping else ""
        cut = f", each in {self.blocks} blocks" if self.blocks > 1 else ""
        return f"{super().description(model)}: {len(matrices)} matrices, {share:.0%}{cut}{damped}; adamw: the rest"

    def groups(self, model: nn.Module) -> Groups:
        """The matrices that it takes, then AdamW's groups without them.

        Raises:
            UserError: there are none, or one cannot be cut into as many blocks.
        """
        matrices = inner_matrices(model)
        if not matrices:
            raise UserError(
                "optimizer=muon: the model has no matrices between embedding and output; use optimizer=adamw"
            )
        for rows in (len(matrix) for matrix in matrices):
            if rows % self.blocks:
                raise UserError(
                    f"optimizer.blocks={self.blocks}: does not divide a matrix of {rows} rows\n"
                    "use 1, or the number of gates: 4 of an LSTM, 3 of a GRU"
                )
        taken = {id(matrix) for matrix in matrices}
        rest = [
            {**group, "params": [each for each in group["params"] if id(each) not in taken]}
            for group in super().groups(model)
        ]
        return [{"params": matrices, "weight_decay": self.weight_decay, "orthogonal": True}, *rest]

    def make(self, groups: Groups, *, fused: bool, products: torch.dtype) -> Optimizer:
        return Muon(
            groups,
            lr=self.lr,
            betas=(self.betas[0], self.betas[1]),
            eps=self.eps,
            momentum=self.momentum,
            iterations=self.iterations,
            refresh=self.refresh,
            blocks=self.blocks,
            damping=self.damping,
            fused=fused,
            products=products,
        )


def inner_matrices(model: nn.Module) -> list[nn.Parameter]:
    """The trained matrices of `model`, but for those of its `token_parts`, which have a row or column a token."""
    edges = tuple(f"{part}." for part in getattr(model, "token_parts", ()))
    return [
        parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.ndim == 2 and not name.startswith(edges)
    ]


OPTIMIZER = MuonOptions
