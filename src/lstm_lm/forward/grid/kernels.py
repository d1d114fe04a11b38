"""One cell of the grid as a call of the vendor's kernel, forwards and backwards, without autograd between cells.

A kernel is made once a window and layer, so that what is done to the weights is done once and not once a chunk.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lstm_lm.cells.interface import Cell, LayerState
from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward import trials
from lstm_lm.forward.cudnn_layout import takes_one_block
from lstm_lm.forward.interface import LayerWeights
from lstm_lm.forward.vendor import VENDORS, flatten, run_layers


class Ended(NamedTuple):
    """A cell after its forward pass."""

    y: Tensor  # [t, B, H]
    state: LayerState  # each [1, B, H]
    kept: Any
    """What the backward pass needs; None where there will be none."""


class Gradients(NamedTuple):
    """A cell after its backward pass."""

    x: Tensor  # [t, B, I]
    state: LayerState  # each [1, B, H]
    weights: Sequence[Tensor]
    """In the order of `LayerWeights`."""


class Kernel(Protocol):
    """One layer's weights, ready to be run over one chunk after the other."""

    def forward(self, x: Tensor, state: LayerState) -> Ended:
        """Run over `x[t, B, I]` from the state, each tensor `[1, B, H]`."""

    def backward(self, ended: Ended, y: Tensor | None, state: Sequence[Tensor | None]) -> Gradients:
        """Gradients of the forward pass that gave `ended`, from those of its results (None: zero)."""


class AnyVendor:
    """torch.lstm or its like, with a graph of autograd's own for each cell: cuDNN, and what no oneDNN computes.

    On a CPU, autograd runs a backward pass in the thread that asks for it; on a GPU, on its forward pass's stream.
    """

    def __init__(self, weights: LayerWeights, *, cell: Cell, training: bool) -> None:
        """`weights` in the type of the computation, cut off from any graph."""
        self._cell = cell.name
        self._training = training
        own = list(weights)
        if takes_one_block(cell, own[0]):  # once a window, or it would be made for every chunk
            own = [weight.clone() for weight in own]
            flatten(cell.name, own, num_layers=1)
        self._weights = [weight.detach().requires_grad_(training) for weight in own]

    def forward(self, x: Tensor, state: LayerState) -> Ended:
        with torch.set_grad_enabled(self._training):
            first, *given = (tensor.detach().requires_grad_(self._training) for tensor in (x, *state))
            y, after = run_layers(self._cell, first, tuple(given), self._weights, num_layers=1, train=self._training)
        kept = ([first, *given], (y, *after)) if self._training else None
        return Ended(y.detach(), tuple(tensor.detach() for tensor in after), kept)

    def backward(self, ended: Ended, y: Tensor | None, state: Sequence[Tensor | None]) -> Gradients:
        given, results = ended.kept
        # a zero gradient is given where there is none, so that every output takes part
        wanted = [
            torch.zeros_like(result) if gradient is None else gradient
            for result, gradient in zip(results, (y, *state), strict=True)
        ]
        x, *others = torch.autograd.grad(results, [*given, *self._weights], wanted)
        return Gradients(x, tuple(others[: len(state)]), others[len(state) :])


CALLS_WORTH_PACKING = 4
"""Packing the weights apart costs about as much as it saves in three calls."""


class OneDNN:
    """oneDNN's LSTM called without autograd, and, for many chunks, with weights that are packed only once."""

    def __init__(self, weights: LayerWeights, *, training: bool, chunks: int) -> None:
        """`weights` in the type of the computation, cut off from any graph."""
        self._training = training
        self._worth_packing = chunks >= CALLS_WORTH_PACKING
        self._plain = weights
        self._width = weights.weight_hh.shape[1]
        self._packed: LayerWeights | None = None

    @staticmethod
    def takes(cell: Cell, device: torch.device, dtype: torch.dtype) -> bool:
        """Whether PyTorch gives such a layer to oneDNN, and its private operators do what they are called for here."""
        return cell == LSTM and trials.run_once(cell, device, dtype).kernel == "oneDNN" and _operators_run(dtype)

    def forward(self, x: Tensor, state: LayerState) -> Ended:
        x, (h, c) = x.contiguous(), state
        # the operator keeps its workspace where gradients are enabled; nothing here requires one
        with torch.set_grad_enabled(self._training):
            weights = self._packed or (self._pack(x) if self._worth_packing else self._plain)
            y, h_after, c_after, workspace = torch.ops.aten.mkldnn_rnn_layer.default(
                x, *weights, h, c, False, [], VENDORS["lstm"].mode, self._width, 1, True, False, False, self._training
            )
        kept = (x, h, c, workspace) if self._training else None
        return Ended(y, (h_after, c_after), kept)

    def backward(self, ended: Ended, y: Tensor | None, state: Sequence[Tensor | None]) -> Gradients:
        x, h_before, c_before, workspace = ended.kept
        with torch.no_grad():
            x, w_ih, w_hh, b_ih, b_hh, h, c = torch.ops.aten.mkldnn_rnn_layer_backward.default(
                x,
                *self._plain,
                h_before,
                c_before,
                ended.y,
                *ended.state,
                None if y is None else y.contiguous(),
                *state,
                False,
                VENDORS["lstm"].mode,
                self._width,
                1,
                True,
                True,
                False,
                [],
                False,
                workspace,
            )
        return Gradients(x, (h, c), (w_ih, w_hh, b_ih, b_hh))

    def _pack(self, x: Tensor) -> LayerWeights:
        """The weights in oneDNN's layout; made in the worker thread that runs the layer's first chunk."""
        plain = self._plain
        w_ih, w_hh = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
            plain.weight_ih, plain.weight_hh, self._width, False, True, False, list(x.shape)
        )
        self._packed = LayerWeights(w_ih, w_hh, plain.bias_ih, plain.bias_hh)
        return self._packed


@cache
def _operators_run(dtype: torch.dtype) -> bool:
    """Tried with both ways to hold the weights, forwards and backwards, on the smallest shape."""
    width = trials.WIDTH
    weights = LayerWeights(*(torch.zeros(4 * width, *rest, dtype=dtype) for rest in ((width,), (width,), (), ())))
    x, h, c = torch.zeros(3, 1, 1, width, dtype=dtype)
    try:
        for chunks in (1, CALLS_WORTH_PACKING):
            kernel = OneDNN(weights, training=True, chunks=chunks)
            kernel.backward(kernel.forward(x, (h, c)), x, (None, None))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return True
