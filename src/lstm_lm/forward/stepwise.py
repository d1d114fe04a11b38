"""`forward=stepwise`: one cell at a time, in Python. The readable reference, and the path for any cell.

Slow where the loop's own overhead dominates (small H and B), and slower than the vendor's kernel everywhere: use it to
check the others, to step through with a debugger, or for a cell that no vendor computes.
"""

from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from lstm_lm.cells.interface import LayerState
from lstm_lm.forward.interface import Masks, Stack, StackSpec, StackState, Strategy


class Stepwise(Strategy):
    """A loop over layers and, inside, over time."""

    name: ClassVar[str] = "stepwise"

    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> str | None:  # noqa: ARG002
        """Every cell, everywhere."""
        return None

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        """As in `Strategy.run`."""
        step = stack.spec.cell.step
        y = x
        after: list[LayerState] = []
        for index, (weights, layer_state) in enumerate(zip(stack.layers(), state, strict=True)):
            if index and masks.between:
                y = y * masks.between[index - 1].to(y.dtype)
            projected = linear(y, weights.weight_ih, weights.bias_ih)  # for all T at once: it needs no state
            outputs: list[Tensor] = []
            for projected_t in projected.unbind(0):
                layer_state = step(projected_t, layer_state, weights.weight_hh, weights.bias_hh)
                outputs.append(layer_state[0])
            y = torch.stack(outputs).to(projected.dtype)
            after.append(layer_state)
        return y, tuple(after)


STRATEGY = Stepwise
