"""`forward=stepwise`: one cell at a time, in Python. The readable reference, and the path for any cell.

Slow where the loop's own overhead dominates (small H and B), and slower than the vendor's kernel everywhere: use it to
check the others, to step through with a debugger, or for layers of unequal width with a cell that no vendor computes.
Compiled, a fixed number of steps is one graph, whatever T; the window is padded to whole graphs.
"""

from functools import partial
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from lstm_lm.cells.interface import LayerState, Step, StepMasks
from lstm_lm.forward import costs, diagonals
from lstm_lm.forward.deferred import Deferred
from lstm_lm.forward.diagonals import Compiled, Given, Products
from lstm_lm.forward.interface import (
    LayerWeights,
    Masks,
    Stack,
    StackSpec,
    StackState,
    Strategy,
    Workload,
    mask_at,
)


class Stepwise(Strategy):
    """A loop over layers and, inside, over time."""

    name: ClassVar[str] = "stepwise"

    def __init__(self) -> None:
        self._compiled: Compiled | None = None

    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> None:  # noqa: ARG002
        """Every cell, everywhere."""
        return

    def cost(self, spec: StackSpec, device: torch.device, workload: Workload) -> float:
        estimate = costs.loop if device.type == "cpu" else costs.launches
        return estimate(spec, workload, batched=False)

    def compile(self, mode: str) -> bool:
        self._compiled = diagonals.compiled(mode)
        return True

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        sampling = x.shape[0] == 1 and not torch.is_grad_enabled()  # a graph of many steps is not for one
        run_layer = _run_layer if self._compiled is None or sampling else partial(_run_compiled, self._compiled)
        y = x
        after: list[LayerState] = []
        for index, (weights, extras, layer) in enumerate(zip(stack.layers(), stack.extras(), state, strict=True)):
            if index and masks.between:
                y = y * masks.between[index - 1].to(y.dtype)
            inside = masks.inside[index] if masks.inside else StepMasks()
            y, layer = run_layer(stack.spec.cell.step, weights, extras, y, layer, inside)
            after.append(layer)
        return y, tuple(after)


def _run_layer(
    step: Step, weights: LayerWeights, extras: tuple[Tensor, ...], x: Tensor, state: LayerState, masks: StepMasks
) -> tuple[Tensor, LayerState]:
    """One layer over `x[T, B, I]`."""
    from_input = linear(x, weights.weight_ih, weights.bias_ih)  # for all T at once: it needs no state
    steps, batch = x.shape[:2]
    hidden = Deferred(weights.weight_hh, weights.bias_hh, steps, batch, from_input.dtype)
    read: list[Tensor] = []
    outputs: list[Tensor] = []
    for t, (from_input_t, offset) in enumerate(zip(from_input.unbind(0), hidden.offsets.unbind(0), strict=True)):
        read.append(state[0].to(from_input.dtype))
        from_hidden = torch.addmm(offset, read[-1], hidden.transposed)
        masks_t = StepMasks(*(None if mask is None else mask_at(mask, t) for mask in masks))
        state = step(from_input_t, from_hidden, state, extras, masks_t)
        outputs.append(state[0])
    hidden.multiplied(read)
    return torch.stack(outputs).to(from_input.dtype), state


def _run_compiled(
    function: Compiled,
    step: Step,
    weights: LayerWeights,
    extras: tuple[Tensor, ...],
    x: Tensor,
    state: LayerState,
    masks: StepMasks,
) -> tuple[Tensor, LayerState]:
    """One layer over `x[T, B, I]` in graphs of a fixed number of steps: the layer as a stack of one."""
    from_input = linear(x, weights.weight_ih, weights.bias_ih)
    (steps, batch), kind = x.shape[:2], from_input.dtype
    total = diagonals.padded(steps)
    hidden = Deferred(weights.weight_hh.unsqueeze(0), weights.bias_hh.unsqueeze(0), total, batch, kind)
    products = Products(hidden.transposed, None, tuple(extra.view(1, 1, -1) for extra in extras))
    given = Given(
        torch.cat([from_input, from_input.new_zeros(total - steps, *from_input.shape[1:])]),
        hidden.offsets,
        None,
        None,
        StepMasks(*(None if mask is None else diagonals.skewed([mask], [0], total) for mask in masks)),
        diagonals.on_grid(steps, 1, total, x.device),
    )
    internal = torch.promote_types(kind, torch.float32)
    start = tuple(tensor.to(internal).unsqueeze(0) for tensor in state)
    done = diagonals.run_compiled(function, step, products, given, start)
    hidden.multiplied(done.read)
    return torch.stack(done.top[:steps]).to(kind), tuple(tensor[0] for tensor in done.state)


STRATEGY = Stepwise
