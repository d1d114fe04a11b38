"""Some anti-diagonals of a stack's grid of (layer, step), all layers at once: what one compiled graph computes.

Everything has a leading dimension of diagonals and one of layers. On diagonal d, layer l does step d - l.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lstm_lm.cells.interface import LayerState, Step, StepMasks
from lstm_lm.forward.interface import mask_at

CHUNK = 16
"""Diagonals in one compiled graph. Fewer: the calls weigh more; more: compiling takes longer, and padding costs."""


class Products(NamedTuple):
    """The weights of the layers, as constants, and what is added to their products."""

    hidden: Tensor  # [L, H, G * H], of the hidden state; joint: [L, 2 * H, G * H], of what is read and the hidden state
    below: Tensor | None  # [L - 1, H, G * H], of what the layers from the second on read; None: one layer, or joint
    extras: tuple[Tensor, ...]  # each [L, 1, n]
    joint: bool = False
    """One product for both shares of an additive cell's gates. The first layer's half for what it reads is zero."""


class Given(NamedTuple):
    """What D diagonals are given."""

    first: Tensor | None  # [D, B, G * H], the input's share of the first layer's gates; joint: a part of `hidden`
    hidden: Tensor  # [D, L, B, G * H], added to the products of the hidden states
    below: Tensor | None  # [D, L - 1, B, G * H], added to those of what layers read
    between: Tensor | None  # [D or 1, L - 1, B, H], masks on what layers read; joint: L, the first layer's any
    inside: StepMasks  # each [D or 1, L, B or 1, H]
    active: Tensor | None  # bool[D, L, 1, 1], which layers are on the grid; None: all of them, on each diagonal

    def split(self, lengths: list[int]) -> "list[Given]":
        """Parts of `lengths` diagonals each.

        Never by indexing: the gradient of each index is as large as the whole.
        """
        inside = (_split(mask, lengths) for mask in self.inside)
        parts = zip(
            _split(self.first, lengths),
            torch.split(self.hidden, lengths),
            _split(self.below, lengths),
            _split(self.between, lengths),
            map(StepMasks._make, zip(*inside, strict=True)),
            _split(self.active, lengths),
            strict=True,
        )
        return [Given(*part) for part in parts]


class Done(NamedTuple):
    """What diagonals give, one item each."""

    top: list[Tensor]  # [B, H], the last layer's hidden state
    read: list[Tensor]  # [L, B, H], the hidden states that were multiplied; joint: [L, B, 2 * H]
    below: list[Tensor]  # [L - 1, B, H], what the layers from the second on read
    state: LayerState  # each [L, B, H], after the last diagonal


def run(step: Step, products: Products, given: Given, state: LayerState) -> Done:
    """Run the diagonals from `state`, each tensor `[L, B, H]`."""
    kind = given.hidden.dtype
    top: list[Tensor] = []
    read: list[Tensor] = []
    below: list[Tensor] = []
    count = given.hidden.shape[0]
    hiddens = given.hidden.unbind(0)  # not by indexing: see `Given.split`
    firsts = (None,) * count if given.first is None else given.first.unbind(0)
    belows = (None,) * count if given.below is None else given.below.unbind(0)
    for d, (first, offset, offset_below) in enumerate(zip(firsts, hiddens, belows, strict=True)):
        h = state[0].to(kind)
        if products.joint:
            rows = h.roll(1, 0)  # the first layer reads the last one's, times zero
            if given.between is not None:
                rows = rows * mask_at(given.between, d)
            read.append(torch.cat([rows, h], dim=-1))
            from_input, from_hidden = torch.baddbmm(offset, read[-1], products.hidden), None
        else:
            assert first is not None
            read.append(h)
            from_hidden = torch.baddbmm(offset, h, products.hidden)
            from_input = first.unsqueeze(0)
            if products.below is not None and offset_below is not None:
                rows = h[:-1]
                if given.between is not None:
                    rows = rows * mask_at(given.between, d)
                below.append(rows)
                from_input = torch.cat([from_input, torch.baddbmm(offset_below, rows, products.below)])
        masks = StepMasks(*(None if mask is None else mask_at(mask, d) for mask in given.inside))
        after = step(from_input, from_hidden, state, products.extras, masks)
        if given.active is not None:
            on_grid = given.active[d]
            after = tuple(torch.where(on_grid, new, old) for new, old in zip(after, state, strict=True))
        state = after
        top.append(state[0][-1])
    return Done(top, read, below, state)


Compiled = Callable[[Step, Products, Given, LayerState], tuple[Tensor, Tensor, Tensor | None, LayerState]]


def joined(
    step: Step, products: Products, given: Given, state: LayerState
) -> tuple[Tensor, Tensor, Tensor | None, LayerState]:
    """`run` with `top`, `read` and `below` each as one tensor: a graph of few results, for torch.compile."""
    done = run(step, products, given, state)
    read = torch.stack(done.read).detach()
    below = torch.stack(done.below).detach() if done.below else None
    return torch.stack(done.top), read, below, done.state


def compiled(mode: str) -> Compiled:
    """`joined` as one graph for each pass, for CHUNK diagonals whatever the length of the window."""
    function: Compiled = torch.compile(joined, mode=mode, fullgraph=True, dynamic=False)
    return function


def run_compiled(function: Compiled, step: Step, products: Products, given: Given, state: LayerState) -> Done:
    """Run the diagonals of `given`, whose number is a multiple of CHUNK, by `function`."""
    top: list[Tensor] = []
    read: list[Tensor] = []
    below: list[Tensor] = []
    if torch.is_grad_enabled():  # as the state between the graphs does: else the first of a window is one of its own
        state = tuple(tensor if tensor.requires_grad else tensor.detach().requires_grad_() for tensor in state)
    for part in given.split([CHUNK] * (given.hidden.shape[0] // CHUNK)):
        some_top, some_read, some_below, state = function(step, products, part, state)
        top.extend(some_top.unbind(0))
        read.extend(some_read.unbind(0))
        if some_below is not None:
            below.extend(some_below.unbind(0))
    return Done(top, read, below, state)


def padded(diagonals: int) -> int:
    """The smallest multiple of CHUNK that is not below."""
    return -(-diagonals // CHUNK) * CHUNK


def on_grid(steps: int, layers: int, diagonals: int, device: torch.device) -> Tensor:
    """Which layers have a step on each of the diagonals: bool `[D, L, 1, 1]`."""
    step = torch.arange(diagonals, device=device).unsqueeze(1) - torch.arange(layers, device=device)
    return ((step >= 0) & (step < steps)).view(diagonals, layers, 1, 1)


def skewed(masks: Sequence[Tensor], delays: Sequence[int], diagonals: int) -> Tensor:
    """Masks `[T or 1, B, H]` of each layer -> `[D or 1, layers, B, H]`, layer n's shifted by `delays[n]` diagonals."""
    steps = max(mask.shape[0] for mask in masks)
    if steps == 1:
        return torch.stack(list(masks), dim=1)
    shifted = []
    for mask, delay in zip(masks, delays, strict=True):
        whole = mask.new_zeros(diagonals, *mask.shape[1:])
        whole[delay : delay + steps] = mask
        shifted.append(whole)
    return torch.stack(shifted, dim=1)


def _split(tensor: Tensor | None, lengths: list[int]) -> Sequence[Tensor | None]:
    """A mask for all diagonals is every part's."""
    return [tensor] * len(lengths) if tensor is None or tensor.shape[0] == 1 else torch.split(tensor, lengths)
