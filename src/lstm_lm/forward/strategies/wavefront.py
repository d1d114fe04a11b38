"""`forward=wavefront`: all layers that are ready on an anti-diagonal as one batched product.

Layer l at step t needs layer l - 1 at step t and itself at step t - 1, so on anti-diagonal d every layer l can do its
step t = d - l: T + L - 1 products of a batch of layers instead of T * L single ones. For cells that no vendor computes,
where the loop's own overhead is most of the time. Source of the order: Appleyard, Kocisky and Blunsom, "Optimizing
Performance of Recurrent Neural Networks on GPUs", 2016.

At the grid's corners not all layers have a step; they are computed all the same and keep their state. Compiled, a fixed
number of diagonals is one graph, whatever T: the window is padded to whole graphs.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import linear

from lstm_lm.cells.interface import LayerState, StepMasks
from lstm_lm.forward import costs, diagonals
from lstm_lm.forward.deferred import Deferred
from lstm_lm.forward.diagonals import Compiled, Done, Given, Products
from lstm_lm.forward.interface import (
    LayerWeights,
    Masks,
    Stack,
    StackSpec,
    StackState,
    Strategy,
    Workload,
)
from lstm_lm.forward.strategies.stepwise import Stepwise

WORTH_JOINING = 4
"""Layers from which one product for both shares is faster: it multiplies 1 / (2 L) of the weights by zero."""


class Wavefront(Strategy):
    """Anti-diagonal by anti-diagonal."""

    name: ClassVar[str] = "wavefront"

    def __init__(self) -> None:
        self._compiled: Compiled | None = None

    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> str | None:  # noqa: ARG002
        """Every cell, everywhere, but only layers of one width."""
        if not spec.uniform:
            return f"layers of unequal width ({', '.join(map(str, spec.hidden_sizes))}) make no batch"
        return None

    def cost(self, spec: StackSpec, device: torch.device, workload: Workload) -> float:
        estimate = costs.loop if device.type == "cpu" else costs.launches
        return estimate(spec, workload, batched=True)

    def compile(self, mode: str) -> bool:
        self._compiled = diagonals.compiled(mode)
        return True

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        steps, batch = x.shape[:2]
        if steps == 1 and not torch.is_grad_enabled():  # a sampling step has one layer on each diagonal
            return Stepwise().run(stack, x, state, masks)
        layers, total = stack.spec.num_layers, steps + stack.spec.num_layers - 1
        if self._compiled is not None:
            total = diagonals.padded(total)
        weights = list(stack.layers())
        from_input = linear(x, weights[0].weight_ih, weights[0].bias_ih)
        kind = from_input.dtype
        first = torch.cat([from_input, from_input.new_zeros(total - steps, *from_input.shape[1:])])
        make = _joint if stack.spec.cell.additive and layers >= WORTH_JOINING else _apart
        deferred, products, given = make(weights, first, masks, batch)
        products = products._replace(
            extras=tuple(torch.stack(tensors).unsqueeze(1) for tensors in zip(*stack.extras(), strict=True))
        )
        given = given._replace(
            inside=_inside(masks, layers, total), active=diagonals.on_grid(steps, layers, total, x.device)
        )
        internal = torch.promote_types(kind, torch.float32)
        start = tuple(torch.stack(tensors).to(internal) for tensors in zip(*state, strict=True))
        done = self._diagonals(stack, products, given, start, steps)
        for one, rows in zip(deferred, (done.read, done.below), strict=False):
            one.multiplied(rows)
        y = torch.stack(done.top[layers - 1 : layers - 1 + steps]).to(kind)
        return y, tuple(zip(*(tensor.unbind(0) for tensor in done.state), strict=True))

    def _diagonals(self, stack: Stack, products: Products, given: Given, state: LayerState, steps: int) -> Done:
        step, layers, total = stack.spec.cell.step, stack.spec.num_layers, given.hidden.shape[0]
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


Made = tuple[list[Deferred], Products, Given]


def _apart(weights: Sequence[LayerWeights], first: Tensor, masks: Masks, batch: int) -> Made:
    """A product for the hidden states, and one for what the layers from the second on read."""
    total, kind = first.shape[0], first.dtype
    hidden = Deferred(
        torch.stack([layer.weight_hh for layer in weights]),
        torch.stack([layer.bias_hh for layer in weights]),
        total,
        batch,
        kind,
    )
    deferred = [hidden]
    if len(weights) > 1:
        weight = torch.stack([layer.weight_ih for layer in weights[1:]])
        bias = torch.stack([layer.bias_ih for layer in weights[1:]])
        deferred.append(Deferred(weight, bias, total, batch, kind))
    below = deferred[1] if len(weights) > 1 else None
    between = diagonals.skewed(masks.between, range(1, len(weights)), total).to(kind) if masks.between else None
    return (
        deferred,
        Products(hidden.transposed, None if below is None else below.transposed, ()),
        Given(first, hidden.offsets, None if below is None else below.offsets, between, StepMasks(), None),
    )


def _joint(weights: Sequence[LayerWeights], first: Tensor, masks: Masks, batch: int) -> Made:
    """One product for both: the gates need only the sum."""
    total, kind = first.shape[0], first.dtype
    nothing = torch.zeros_like(weights[0].weight_hh)
    rows = [torch.cat([layer.weight_ih if n else nothing, layer.weight_hh], dim=1) for n, layer in enumerate(weights)]
    biases = [layer.bias_ih + layer.bias_hh if n else layer.bias_hh for n, layer in enumerate(weights)]
    both = Deferred(torch.stack(rows), torch.stack(biases), total, batch, kind)
    offsets = torch.cat([both.offsets[:, :1] + first.unsqueeze(1), both.offsets[:, 1:]], dim=1)
    between = None
    if masks.between:
        of_all = (torch.zeros_like(masks.between[0]), *masks.between)
        between = diagonals.skewed(of_all, range(len(weights)), total).to(kind)
    return (
        [both],
        Products(both.transposed, None, (), joint=True),
        Given(None, offsets, None, between, StepMasks(), None),
    )


def _inside(masks: Masks, layers: int, total: int) -> StepMasks:
    """Each kind of mask of all layers, shifted onto the diagonals."""
    if not masks.inside:
        return StepMasks()
    kinds = zip(*masks.inside, strict=True)
    return StepMasks(*(None if kind[0] is None else diagonals.skewed(kind, range(layers), total) for kind in kinds))


STRATEGY = Wavefront
