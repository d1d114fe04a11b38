"""`forward=wavefront`: all layers that are ready on an anti-diagonal as one batched product.

Layer l at step t needs layer l - 1 at step t and itself at step t - 1, so on anti-diagonal d every layer l can do its
step t = d - l: T + L - 1 products of a batch of layers instead of T * L single ones. For cells that no vendor computes,
where the loop's own overhead is most of the time. Source of the order: Appleyard, Kocisky and Blunsom, "Optimizing
Performance of Recurrent Neural Networks on GPUs", 2016.

At the grid's corners not all layers have a step; they are computed all the same and keep their state. Compiled, a fixed
number of diagonals is one graph, whatever T: the window is padded to whole graphs.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from lstm_lm.cells.interface import LayerState, StepMasks
from lstm_lm.forward import costs, diagonals
from lstm_lm.forward.deferred import Deferred
from lstm_lm.forward.diagonals import Compiled, Done, Given, Products
from lstm_lm.forward.interface import NOTHING_OVERLAPS, Masks, Stack, StackSpec, StackState, Strategy, Workload
from lstm_lm.forward.stepwise import Stepwise


class Wavefront(Strategy):
    """Anti-diagonal by anti-diagonal."""

    name: ClassVar[str] = "wavefront"

    def __init__(self) -> None:
        self._compiled: Compiled | None = None

    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> str | None:  # noqa: ARG002
        """Every cell, everywhere, but only layers of one width."""
        if spec.bidirectional:
            return NOTHING_OVERLAPS
        if not spec.uniform:
            return f"layers of unequal width ({', '.join(map(str, spec.hidden_sizes))}) make no batch"
        return None

    def cost(self, spec: StackSpec, device: torch.device, workload: Workload) -> float:  # noqa: ARG002
        """As in `Strategy.cost`."""
        return costs.loop(spec, workload, batched=True)

    def compile(self, mode: str) -> bool:
        """As in `Strategy.compile`."""
        self._compiled = diagonals.compiled(mode)
        return True

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        """As in `Strategy.run`."""
        steps, batch = x.shape[:2]
        if steps == 1 and not torch.is_grad_enabled():  # a sampling step has one layer on each diagonal
            return Stepwise().run(stack, x, state, masks)
        spec = stack.spec
        layers, total = spec.num_layers, steps + spec.num_layers - 1
        if self._compiled is not None:
            total = diagonals.padded(total)
        weights = list(stack.layers())
        from_input = linear(x, weights[0].weight_ih, weights[0].bias_ih)
        kind = from_input.dtype
        hidden = Deferred(
            torch.stack([layer.weight_hh for layer in weights]),
            torch.stack([layer.bias_hh for layer in weights]),
            total,
            batch,
            kind,
        )
        below = None
        if layers > 1:
            below = Deferred(
                torch.stack([layer.weight_ih for layer in weights[1:]]),
                torch.stack([layer.bias_ih for layer in weights[1:]]),
                total,
                batch,
                kind,
            )
        products = Products(
            hidden.transposed,
            None if below is None else below.transposed,
            tuple(torch.stack(tensors).unsqueeze(1) for tensors in zip(*stack.extras(), strict=True)),
        )
        given = Given(
            torch.cat([from_input, from_input.new_zeros(total - steps, *from_input.shape[1:])]),
            hidden.offsets,
            None if below is None else below.offsets,
            diagonals.skewed(masks.between, range(1, layers), total).to(kind) if masks.between else None,
            _inside(masks, layers, total),
            diagonals.on_grid(steps, layers, total, x.device),
        )
        internal = torch.promote_types(kind, torch.float32)
        start = tuple(torch.stack(tensors).to(internal) for tensors in zip(*state, strict=True))
        done = self._diagonals(stack, products, given, start, steps)
        hidden.multiplied(done.read)
        if below is not None:
            below.multiplied(done.below)
        y = torch.stack(done.top[layers - 1 : layers - 1 + steps]).to(kind)
        return y, tuple(zip(*(tensor.unbind(0) for tensor in done.state), strict=True))

    def _diagonals(self, stack: Stack, products: Products, given: Given, state: LayerState, steps: int) -> Done:
        step, layers, total = stack.spec.cell.step, stack.spec.num_layers, given.first.shape[0]
        if self._compiled is not None:
            return diagonals.run_compiled(self._compiled, step, products, given, state)
        # between the corners every layer is on the grid: nothing to select
        cuts = sorted({0, min(layers - 1, total), max(layers - 1, steps), total})
        top: list[Tensor] = []
        read: list[Tensor] = []
        below: list[Tensor] = []
        lengths = [end - start for start, end in pairwise(cuts)]
        for (start, end), part in zip(pairwise(cuts), given.split(lengths), strict=True):
            if layers - 1 <= start and end <= steps:
                part = part._replace(active=None)
            done = diagonals.run(step, products, part, state)
            state = done.state
            top += done.top
            read += done.read
            below += done.below
        return Done(top, read, below, state)


def _inside(masks: Masks, layers: int, total: int) -> StepMasks:
    """Each kind of mask of all layers, shifted onto the diagonals."""
    if not masks.inside:
        return StepMasks()
    kinds = zip(*masks.inside, strict=True)
    return StepMasks(*(None if kind[0] is None else diagonals.skewed(kind, range(layers), total) for kind in kinds))


STRATEGY = Wavefront
