"""The gradient of a weight that every step of a window uses, as one product instead of one a step.

In a hand-written loop over time, autograd makes a weight's gradient step by step: T small products, and T sums over
the whole weight. Both are the larger part of a backward pass. Here the steps use the weight as a constant, and add an
*offset* to the product. Autograd then gives the gradient of all offsets, which is the gradient of the products'
results; one large product with what the weight was multiplied by makes the weight's gradient of it.

    product_t = h_t @ weight.T + offset_t,  offset_t = bias
    d weight = sum_t (d product_t).T @ h_t,  d bias = sum_t d product_t
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Deferred:
    """A weight `[..., N, K]` and its bias `[..., N]`, as the steps of one window use them.

    Leading dimensions are a batch of layers.
    """

    def __init__(self, weight: Tensor, bias: Tensor, steps: int, batch: int, dtype: torch.dtype) -> None:
        """For `steps` products with `[..., B, K]`, computed in `dtype`."""
        self._multiplied: list[Tensor] = []
        constant = weight.detach().to(dtype)
        self.transposed = constant.mT
        """`[..., K, N]`."""
        self._wanted = torch.is_grad_enabled() and (weight.requires_grad or bias.requires_grad)
        if self._wanted:
            offsets: Tensor = _Offsets.apply(weight, bias, steps, batch, dtype, self._multiplied)  # type: ignore[no-untyped-call]
        else:
            offsets = _expand(bias.detach().to(dtype), steps, batch)
        self.offsets = offsets
        """`[steps, ..., B, N]`: what is added to the products."""

    def multiplied(self, rows: Iterable[Tensor]) -> None:
        """Note what the weight was multiplied by: `[..., B, K]` for each step in turn; parts may follow each other."""
        if self._wanted:
            self._multiplied.extend(row.detach() for row in rows)


def _expand(bias: Tensor, steps: int, batch: int) -> Tensor:
    return bias.unsqueeze(-2).expand(steps, *bias.shape[:-1], batch, bias.shape[-1])


class _Offsets(torch.autograd.Function):
    """bias -> offsets, all alike; backwards, the gradients of bias and weight out of those of the offsets."""

    @staticmethod
    def forward(
        ctx: Any, weight: Tensor, bias: Tensor, steps: int, batch: int, dtype: torch.dtype, multiplied: list[Tensor]
    ) -> Tensor:
        ctx.multiplied, ctx.types = multiplied, (weight.dtype, bias.dtype)
        return _expand(bias.to(dtype), steps, batch)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """`gradient[steps, ..., B, N]`."""
        rows = torch.stack(ctx.multiplied)
        # [steps, ..., B, N] -> [..., steps * B, N]: one product a layer
        left = gradient.movedim(0, -3).flatten(-3, -2)
        right = rows.to(gradient.dtype).movedim(0, -3).flatten(-3, -2)
        weight = (left.mT @ right).to(ctx.types[0])
        bias = left.sum(-2, dtype=torch.promote_types(left.dtype, torch.float32)).to(ctx.types[1])
        return weight, bias, None, None, None, None
