"""`forward=fused`: the vendor's kernel (cuDNN on NVIDIA GPUs, oneDNN on CPUs, MPS's own on Apple's), or what PyTorch
has in its place (`lstm_lm.forward.vendor`).

One call runs the whole stack where nothing stands between the layers, else one call runs each layer. A single step
without gradients, which is what sampling does, takes the vendor's cell instead: on a CPU, oneDNN re-packs all weights
on every call, which is most of what a step costs (benchmarks/generation.py).
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from lstm_lm.cells.interface import LayerState
from lstm_lm.forward import costs
from lstm_lm.forward.cudnn_layout import lay_out
from lstm_lm.forward.interface import ONE_DIRECTION, Masks, Stack, StackSpec, StackState, Strategy, Workload
from lstm_lm.forward.vendor import run_layers, run_step, why_not
from lstm_lm.forward.vendor_limits import in_one_call


class Fused(Strategy):
    """The vendor's kernel."""

    name: ClassVar[str] = "fused"

    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> str | None:
        """Only the vendor's own cells; cuDNN and MPS take no bfloat16 weights."""
        if spec.bidirectional:
            return ONE_DIRECTION
        if (reason := why_not(spec)) is not None:
            return reason
        if device.type == "cuda" and dtype == torch.bfloat16:
            return "PyTorch takes no cuDNN kernel for bfloat16 weights (use precision=16-mixed or bf16-mixed)"
        if device.type == "mps" and dtype not in (torch.float32, torch.float16):
            return f"the MPS kernel does not take {str(dtype).removeprefix('torch.')}"
        return None

    def cost(self, spec: StackSpec, device: torch.device, workload: Workload) -> float:
        """As in `Strategy.cost`. On GPUs cuDNN runs a stack's layers as a wavefront itself: nothing else comes near."""
        if device.type != "cpu":
            return 1.0
        if workload.steps == 1 and not workload.training:
            return costs.VENDOR_CELL[spec.cell.gates] * spec.num_layers
        threads = costs.threads()
        return sum(
            costs.vendor_call(layer, workload) + workload.steps * costs.vendor_step(layer, workload, threads)
            for layer in costs.layers(spec)
        )

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        """As in `Strategy.run`.

        Raises:
            ValueError: masks for the inside of a step, which no vendor's kernel applies.
        """
        if masks.inside:
            raise ValueError("forward=fused cannot apply masks inside a step: choose the strategy for training anew")
        if _is_sampling_step(x):
            return _one_step(stack, x, state)
        # decided by the stack, not by the call: moving the weights at every change from training to scoring would cost
        whole = in_one_call(stack.spec) and not masks.between
        if x.device.type == "cuda":
            lay_out(stack.stored, whole=whole)
        if not whole:
            return _layer_by_layer(stack, x, state, masks)
        stacked = tuple(torch.stack(tensors) for tensors in zip(*state, strict=True))
        y, after = _vendor_layers(stack, x, stacked, stack.flat_weights(), num_layers=stack.spec.num_layers)
        return y, tuple(zip(*(tensor.unbind(0) for tensor in after), strict=True))


def _is_sampling_step(x: Tensor) -> bool:
    return (
        x.shape[0] == 1
        and x.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled(x.device.type)
    )


def _one_step(stack: Stack, x: Tensor, state: StackState) -> tuple[Tensor, StackState]:
    """T = 1 without gradients (and so without dropout)."""
    y = x[0]
    after: list[LayerState] = []
    for weights, layer in zip(stack.layers(), state, strict=True):
        after.append(run_step(stack.spec.cell.name, y, layer, weights))
        y = after[-1][0]
    return y.unsqueeze(0), tuple(after)


def _layer_by_layer(stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
    y = x
    after: list[LayerState] = []
    for index, (weights, layer) in enumerate(zip(stack.layers(), state, strict=True)):
        if index and masks.between:
            y = y * masks.between[index - 1].to(y.dtype)
        y, ended = _vendor_layers(stack, y, tuple(tensor.unsqueeze(0) for tensor in layer), weights, num_layers=1)
        after.append(tuple(tensor[0] for tensor in ended))
    return y, tuple(after)


def _vendor_layers(
    stack: Stack, x: Tensor, state: LayerState, weights: Sequence[Tensor], *, num_layers: int
) -> tuple[Tensor, LayerState]:
    """x `[T, B, I]`, the state's tensors `[L, B, H]`; training mode keeps what the backward pass needs."""
    device, name, train = x.device.type, stack.spec.cell.name, torch.is_grad_enabled()
    if torch.is_autocast_enabled(device):
        # PyTorch's autocast runs cuDNN's recurrent kernels in float16 whatever type it was asked for (AutocastRNN.cpp).
        # Where that was bfloat16, float16 without a scaled loss would be a silent swap: the stack stays in float32.
        if device == "cuda" and torch.get_autocast_dtype(device) == torch.bfloat16:
            kind = weights[0].dtype
            with torch.autocast(device, enabled=False):
                state = tuple(tensor.to(kind) for tensor in state)
                return run_layers(name, x.to(kind), state, weights, num_layers=num_layers, train=train)
    else:
        state = tuple(tensor.to(x.dtype) for tensor in state)
    return run_layers(name, x, state, weights, num_layers=num_layers, train=train)


STRATEGY = Fused
