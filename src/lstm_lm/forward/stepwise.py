"""`forward=stepwise`: one cell at a time, in Python. The readable reference, and the path for any cell.

Slow where the loop's own overhead dominates (small H and B), and slower than the vendor's kernel everywhere: use it to
check the others, to step through with a debugger, or for layers of unequal width with a cell that no vendor computes.
"""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from lstm_lm.cells.interface import LayerState, StepMasks
from lstm_lm.forward.deferred import Deferred
from lstm_lm.forward.interface import Masks, Stack, StackSpec, StackState, Strategy, at


class Stepwise(Strategy):
    """A loop over layers and, inside, over time."""

    name: ClassVar[str] = "stepwise"

    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> str | None:  # noqa: ARG002
        """Every cell, everywhere."""
        return None

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        """As in `Strategy.run`."""
        step = stack.spec.cell.step
        steps, batch = x.shape[:2]
        y = x
        after: list[LayerState] = []
        for index, (weights, extras, layer) in enumerate(zip(stack.layers(), stack.extras(), state, strict=True)):
            if index and masks.between:
                y = y * masks.between[index - 1].to(y.dtype)
            inside = masks.inside[index] if masks.inside else StepMasks()
            from_input = linear(y, weights.weight_ih, weights.bias_ih)  # for all T at once: it needs no state
            hidden = Deferred(weights.weight_hh, weights.bias_hh, steps, batch, from_input.dtype)
            read: list[Tensor] = []
            outputs: list[Tensor] = []
            for t, (from_input_t, offset) in enumerate(
                zip(from_input.unbind(0), hidden.offsets.unbind(0), strict=True)
            ):
                read.append(layer[0].to(from_input.dtype))
                from_hidden = torch.addmm(offset, read[-1], hidden.transposed)
                masks_t = StepMasks(*(None if mask is None else at(mask, t) for mask in inside))
                layer = step(from_input_t, from_hidden, layer, extras, masks_t)
                outputs.append(layer[0])
            hidden.multiplied(read)
            y = torch.stack(outputs).to(from_input.dtype)
            after.append(layer)
        return y, tuple(after)


STRATEGY = Stepwise
