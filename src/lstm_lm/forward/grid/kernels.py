"""One cell of the grid as a call of the vendor's kernel, forwards and backwards, without autograd between cells.

A kernel is made once a window and layer, so that what is done to the weights is done once and not once a chunk.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from lstm_lm.forward.cudnn_layout import flatten
from lstm_lm.forward.interface import LayerWeights

LSTM_MODE = 2
"""Number of the LSTM in ATen's recurrent kernels."""


class Ended(NamedTuple):
    """A cell after its forward pass."""

    y: Tensor  # [t, B, H]
    h: Tensor  # [1, B, H]
    c: Tensor  # [1, B, H]
    kept: Any
    """What the backward pass needs; None where there will be none."""


class Gradients(NamedTuple):
    """A cell after its backward pass."""

    x: Tensor  # [t, B, I]
    h: Tensor  # [1, B, H]
    c: Tensor  # [1, B, H]
    weights: Sequence[Tensor]
    """As `LayerWeights`."""


class Kernel(Protocol):
    """One layer's weights, ready to be run over one chunk after the other."""

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Ended:
        """Run over `x[t, B, I]` from `h, c [1, B, H]`."""

    def backward(self, ended: Ended, y: Tensor | None, h: Tensor | None, c: Tensor | None) -> Gradients:
        """Gradients of the forward pass that gave `ended`, from those of its results (None: zero)."""


class AnyVendor:
    """torch.lstm, with a graph of autograd's own for each cell: cuDNN, and a CPU without oneDNN.

    On a CPU, autograd runs a backward pass in the thread that asks for it; on a GPU, on its forward pass's stream.
    """

    def __init__(self, weights: LayerWeights, *, training: bool) -> None:
        """`weights` in the type of the computation, cut off from any graph."""
        self._training = training
        own = list(weights)
        if own[0].is_cuda:  # one block, as cuDNN wants it: once a window, or it would be made for every chunk
            own = [weight.clone() for weight in own]
            flatten(own, own[0].shape[1], own[1].shape[1], num_layers=1)
        self._weights = [weight.detach().requires_grad_(training) for weight in own]

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Ended:
        """As in `Kernel.forward`."""
        with torch.set_grad_enabled(self._training):
            given = [tensor.detach().requires_grad_(self._training) for tensor in (x, h, c)]
            y, h, c = torch.lstm(
                given[0], (given[1], given[2]), self._weights, True, 1, 0.0, self._training, False, False
            )
        return Ended(y.detach(), h.detach(), c.detach(), (given, (y, h, c)) if self._training else None)

    def backward(self, ended: Ended, y: Tensor | None, h: Tensor | None, c: Tensor | None) -> Gradients:
        """As in `Kernel.backward`."""
        given, results = ended.kept
        # a zero gradient is given where there is none, so that every output takes part
        wanted = [
            torch.zeros_like(result) if gradient is None else gradient
            for result, gradient in zip(results, (y, h, c), strict=True)
        ]
        x, h, c, *weights = torch.autograd.grad(results, [*given, *self._weights], wanted)
        return Gradients(x, h, c, weights)


CALLS_WORTH_PACKING = 4
"""Packing the weights apart costs about as much as it saves in three calls."""


class OneDNN:
    """oneDNN's kernel called without autograd, and, for many chunks, with weights that are packed only once."""

    def __init__(self, weights: LayerWeights, *, training: bool, chunks: int) -> None:
        """`weights` in the type of the computation, cut off from any graph."""
        self._training = training
        self._worth_packing = chunks >= CALLS_WORTH_PACKING
        self._plain = weights
        self._width = weights.weight_hh.shape[1]
        self._packed: LayerWeights | None = None

    @staticmethod
    def takes(device: torch.device, dtype: torch.dtype) -> bool:
        """Whether PyTorch would give such an LSTM to oneDNN, and this PyTorch has these (private) operators."""
        if device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return False
        if not getattr(torch.backends.mkldnn, "enabled", True):
            return False
        types = {torch.float32} | ({torch.bfloat16} if torch.ops.mkldnn._is_mkldnn_bf16_supported() else set())
        return dtype in types and all(hasattr(*operator) for operator in _OPERATORS)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> Ended:
        """As in `Kernel.forward`."""
        x = x.contiguous()
        # the operator keeps its workspace where gradients are enabled; nothing here requires one
        with torch.set_grad_enabled(self._training):
            weights = self._packed or (self._pack(x) if self._worth_packing else self._plain)
            y, h_after, c_after, workspace = torch.ops.aten.mkldnn_rnn_layer.default(
                x, *weights, h, c, False, [], LSTM_MODE, self._width, 1, True, False, False, self._training
            )
        kept = (x, h, c, workspace) if self._training else None
        return Ended(y, h_after, c_after, kept)

    def backward(self, ended: Ended, y: Tensor | None, h: Tensor | None, c: Tensor | None) -> Gradients:
        """As in `Kernel.backward`."""
        x, h_before, c_before, workspace = ended.kept
        with torch.no_grad():
            x, w_ih, w_hh, b_ih, b_hh, h, c = torch.ops.aten.mkldnn_rnn_layer_backward.default(
                x,
                *self._plain,
                h_before,
                c_before,
                ended.y,
                ended.h,
                ended.c,
                None if y is None else y.contiguous(),
                h,
                c,
                False,
                LSTM_MODE,
                self._width,
                1,
                True,
                True,
                False,
                [],
                False,
                workspace,
            )
        return Gradients(x, h, c, (w_ih, w_hh, b_ih, b_hh))

    def _pack(self, x: Tensor) -> LayerWeights:
        """As oneDNN wants them; in the worker thread that runs the layer's first chunk, not in the caller's."""
        plain = self._plain
        w_ih, w_hh = torch.ops.mkldnn._reorder_mkldnn_rnn_layer_weight(
            plain.weight_ih, plain.weight_hh, self._width, False, True, False, list(x.shape)
        )
        self._packed = LayerWeights(w_ih, w_hh, plain.bias_ih, plain.bias_hh)
        return self._packed


_OPERATORS = (
    (torch.ops.aten, "mkldnn_rnn_layer"),
    (torch.ops.aten, "mkldnn_rnn_layer_backward"),
    (torch.ops.mkldnn, "_reorder_mkldnn_rnn_layer_weight"),
)
