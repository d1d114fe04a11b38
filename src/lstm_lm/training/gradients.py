"""The gradients of one optimizer step, between the backward pass and the update: their norms, and clipping."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import lightning.pytorch as pl
import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Gradients:
    """Of the parameters that have one."""

    names: Sequence[str]
    parameters: Sequence[nn.Parameter]
    norms: Sequence[Tensor]
    """float[] each, where the parameter is."""
    norm: Tensor
    """float[]: of all."""

    @classmethod
    def of(cls, model: nn.Module) -> Self | None:
        """Those that `model` has now; None: it has none."""
        named = {name: weight for name, weight in model.named_parameters() if weight.grad is not None}
        gradients = [weight.grad for weight in named.values() if weight.grad is not None]
        if not gradients:
            return None
        norms = torch._foreach_norm(gradients)  # as torch.nn.utils.get_total_norm does, which keeps the sum alone
        norm = torch.linalg.vector_norm(torch.stack([norm.to(gradients[0].device) for norm in norms]))
        return cls(list(named), list(named.values()), norms, norm)

    def clip(self, most: float, *, by_value: bool) -> None:
        """Scale them down to a norm of at most `most`; `by_value`: each number to [-most, most] by itself."""
        if by_value:
            nn.utils.clip_grad_value_(self.parameters, most)
        else:
            nn.utils.clip_grads_with_norm_(self.parameters, most, self.norm)

    def drop(self) -> None:
        """Leave the parameters without, which every optimizer takes for "not this one"."""
        for parameter in self.parameters:
            parameter.grad = None

    def largest(self) -> str:
        """The parameter with the largest, NaN being larger than any: `largest gradient: head.bias, nan`."""
        values = [(name, float(norm)) for name, norm in zip(self.names, self.norms, strict=True)]
        name, norm = max(values, key=lambda entry: float("inf") if entry[1] != entry[1] else entry[1])
        return f"largest gradient: {name}, {norm:.3g}"


def scaler_of(trainer: pl.Trainer) -> Any:
    """The gradients' `torch.amp.GradScaler`, where Lightning has one: 16-mixed."""
    return getattr(trainer.precision_plugin, "scaler", None)


def unscale(optimizer: torch.optim.Optimizer, scaler: Any) -> None:
    """Unscale what Lightning leaves scaled: the gradients of a fused optimizer, or of Muon.

    Right behind the backward pass, so that callbacks, the norm and clipping see them as they are; torch's scaler then
    has the optimizer itself leave out a step that overflowed: a fused kernel does without waiting for the device, Muon
    waits once. Tried on a CPU, not on a GPU.
    """
    # Lightning and torch's scaler go by the same attribute.
    if scaler is not None and getattr(optimizer, "_step_supports_amp_scaling", False):
        scaler.unscale_(optimizer)
