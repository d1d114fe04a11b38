"""`forward=fused`: the vendor's kernel (cuDNN on NVIDIA GPUs, oneDNN on CPUs, MPS's own on Apple's), or what PyTorch
has in its place (`lstm_lm.forward.vendor`).

One call runs the whole stack where nothing stands between the layers, else one call runs each layer. A single step
without gradients, which is what sampling does, takes the vendor's cell instead: on a CPU, oneDNN re-packs all weights
on every call, which is most of what a step costs (benchmarks/generation.py).

A type that no kernel here computes is computed in float32, and a line says so (`lstm_lm.forward.trials`).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from lstm_lm.cells.interface import Cell, LayerState
from lstm_lm.forward import costs, trials
from lstm_lm.forward.cudnn_layout import cast_in_one_block, lay_out
from lstm_lm.forward.interface import (
    ForwardOptions,
    Masks,
    Stack,
    StackSpec,
    StackState,
    Strategy,
    Workload,
)
from lstm_lm.forward.vendor import run_layers, run_step, why_not
from lstm_lm.forward.vendor_limits import in_one_call, persistent_by_layer

Calls = Literal["auto", "stack", "layer"]


class FusedOptions(ForwardOptions):
    """`forward=fused`."""

    calls: Calls


class Fused(Strategy):
    """The vendor's kernel."""

    name: ClassVar[str] = "fused"
    OptionsType = FusedOptions

    def __init__(self, calls: Calls = "auto") -> None:
        """Decide how often the kernel is called for a window.

        Args:
            calls: "stack": once, where nothing stands between the layers; "layer": once a layer; "auto": once a layer
                where cuDNN then has its persistent kernel and would not otherwise, else "stack".
        """
        self._calls = calls

    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> str | None:
        """Only the vendor's own cells, in a type that was tried here."""
        return why_not(spec) or trials.refusal(spec.cell, device, dtype)

    def cost(self, spec: StackSpec, device: torch.device, workload: Workload) -> float:
        if device.type != "cpu":
            return 1.0  # cuDNN runs a stack's layers as a wavefront itself: nothing else comes near
        if workload.steps == 1 and not workload.training:
            return costs.VENDOR_CELL[spec.cell.gates] * spec.num_layers
        workload = replace(workload, dtype=trials.computed_in(spec.cell, [device], workload.dtype))
        threads = costs.threads()
        return sum(
            costs.vendor_call(layer, workload) + workload.steps * costs.vendor_step(layer, workload, threads)
            for layer in costs.layers(spec)
        )

    def details(self, spec: StackSpec, device: torch.device, workload: Workload) -> str:
        """The type where it is another than the one asked for, and whether layers are called one by one."""
        kind = trials.computed_in(spec.cell, [device], workload.dtype)
        parts = [trials.said(spec.cell, [device], workload.dtype)]
        if in_one_call(spec) and not self.calls_once(spec, device, kind, workload.batch_size):
            parts.append("one call a layer")
        return ", ".join(part for part in parts if part)

    def variants(self, spec: StackSpec, device: torch.device, workload: Workload) -> list[dict[str, Any]]:
        """The way to call that it does not take by itself, on GPUs, where that makes a difference."""
        if device.type != "cuda" or not in_one_call(spec) or spec.num_layers == 1:
            return []
        kind = trials.computed_in(spec.cell, [device], workload.dtype)
        return [{"calls": "layer" if self.calls_once(spec, device, kind, workload.batch_size) else "stack"}]

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        """Run `stack` over a window by the vendor's kernel.

        Raises:
            ValueError: masks for the inside of a step, which no vendor's kernel applies.
        """
        if masks.inside:
            raise ValueError("forward=fused cannot apply masks inside a step: choose the strategy for training again")
        # of the stored weights: a window's own are made from them, and lie as they do, which is decided below
        spec, asked, stored = stack.spec, asked_of(x), next(stack.stored.layers()).weight_hh.dtype
        kind = trials.computed_in(spec.cell, [x.device], asked)
        if _is_sampling_step(x) and stored in (kind, asked):  # else autocast keeps its copies of the weights
            return _one_step(stack, x, state, kind)
        whole = not masks.between and self.calls_once(spec, x.device, kind, x.shape[1])
        if x.device.type == "cuda" and stored == kind:
            lay_out(stack.stored, whole=whole)
        if not whole:
            return _layer_by_layer(stack, x, state, masks, kind)
        stacked = tuple(torch.stack(tensors) for tensors in zip(*state, strict=True))
        y, after = _vendor_layers(spec.cell, x, stacked, stack.flat_weights(), kind, spec.num_layers)
        return y, tuple(zip(*(tensor.unbind(0) for tensor in after), strict=True))

    def calls_once(self, spec: StackSpec, device: torch.device, dtype: torch.dtype, batch_size: int) -> bool:
        """Whether one call runs all layers, computed in `dtype`."""
        if self._calls == "layer" or not in_one_call(spec):
            return False
        return self._calls == "stack" or not persistent_by_layer(spec, batch_size, dtype, device)


def asked_of(x: Tensor) -> torch.dtype:
    """The type that whoever gives `x` asks for: autocast's where it is on, else its own."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype


def _is_sampling_step(x: Tensor) -> bool:
    return x.shape[0] == 1 and x.device.type == "cpu" and not torch.is_grad_enabled()


def _one_step(stack: Stack, x: Tensor, state: StackState, kind: torch.dtype) -> tuple[Tensor, StackState]:
    """T = 1 without gradients (and so without dropout), computed in `kind`."""
    y = x[0].to(kind)
    after: list[LayerState] = []
    with torch.autocast(x.device.type, enabled=False):
        for weights, layer in zip(stack.layers(), state, strict=True):
            given = tuple(tensor.to(kind) for tensor in layer)
            after.append(run_step(stack.spec.cell.name, y, given, [weight.to(kind) for weight in weights]))
            y = after[-1][0]
    return _given_back(y.unsqueeze(0), x), tuple(after)


def _layer_by_layer(
    stack: Stack, x: Tensor, state: StackState, masks: Masks, kind: torch.dtype
) -> tuple[Tensor, StackState]:
    y = x
    after: list[LayerState] = []
    for index, (weights, layer) in enumerate(zip(stack.layers(), state, strict=True)):
        if index and masks.between:
            y = y * masks.between[index - 1].to(y.dtype)
        given = tuple(tensor.unsqueeze(0) for tensor in layer)
        y, ended = _vendor_layers(stack.spec.cell, y, given, weights, kind, num_layers=1)
        after.append(tuple(tensor[0] for tensor in ended))
    return y, tuple(after)


def _vendor_layers(
    cell: Cell, x: Tensor, state: LayerState, weights: Sequence[Tensor], kind: torch.dtype, num_layers: int
) -> tuple[Tensor, LayerState]:
    """x `[T, B, I]`, the state's tensors `[L, B, H]`, computed in `kind`."""
    train = torch.is_grad_enabled()
    if _autocast_casts(x, kind):
        return run_layers(cell.name, x, state, weights, num_layers=num_layers, train=train)
    with torch.autocast(x.device.type, enabled=False):
        state = tuple(tensor.to(kind) for tensor in state)
        weights = cast_in_one_block(cell, weights, kind, num_layers)
        y, after = run_layers(cell.name, x.to(kind), state, weights, num_layers=num_layers, train=train)
    return _given_back(y, x), after


def _autocast_casts(x: Tensor, kind: torch.dtype) -> bool:
    """Whether PyTorch's own autocast is on and makes `kind` of what a recurrent kernel reads, here and now.

    On CPUs it does, and on NVIDIA's GPUs in float16, whatever it was asked for (AutocastRNN.cpp); and it keeps its
    copies of the weights for further calls. MIOpen's and Apple's kernels it does not know.
    """
    if not torch.is_autocast_enabled(x.device.type) or kind != torch.get_autocast_dtype(x.device.type):
        return False
    return x.device.type == "cpu" or (torch.version.cuda is not None and (x.is_cuda, kind) == (True, torch.float16))


def _given_back(y: Tensor, x: Tensor) -> Tensor:
    """`y` in the type of `x`; under autocast in its own, as its operators give it."""
    return y if torch.is_autocast_enabled(x.device.type) else y.to(x.dtype)


STRATEGY = Fused
