"""PyTorch's own functions for whole layers of a cell, and what runs behind them.

By PyTorch's sources that is cuDNN for every cell on NVIDIA GPUs, and on CPUs oneDNN for the LSTM alone:
`mkldnn_rnn_layer` carries a GRU's and a simple cell's sizes, but makes only the LSTM's primitive
(aten/src/ATen/native/mkldnn/RNN.cpp, as of PyTorch 2.13), and torch.gru, torch.rnn_tanh and torch.rnn_relu are ATen's
loop over time in C++. What is so on a machine is tried (`lstm_lm.forward.trials`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lstm_lm.cells.interface import LayerState
from lstm_lm.forward.interface import LayerWeights, StackSpec


class Vendor(NamedTuple):
    """A cell that vendors compute."""

    layers: Callable[..., tuple[Tensor, ...]]
    """`torch.lstm` or its like: all steps of some layers."""
    step: Callable[..., Any]
    """`torch.lstm_cell` or its like: one step of one layer."""
    mode: int
    """Its number in ATen's recurrent kernels: cudnnRNNMode_t's, and oneDNN's."""


VENDORS: Mapping[str, Vendor] = {
    "rnn_relu": Vendor(torch.rnn_relu, torch.rnn_relu_cell, 0),
    "rnn_tanh": Vendor(torch.rnn_tanh, torch.rnn_tanh_cell, 1),
    "lstm": Vendor(torch.lstm, torch.lstm_cell, 2),
    "gru": Vendor(torch.gru, torch.gru_cell, 3),
}
"""By `Cell.name`."""


def why_not(spec: StackSpec) -> str | None:
    """None where a vendor's kernel computes the stack's cells, else what it doesn't compute, for people to read."""
    beyond = spec.deviations if spec.cell.name in VENDORS else (f"the cell {spec.cell.name}", *spec.deviations)
    return f"no vendor's kernel computes {', '.join(beyond)}" if beyond else None


def run_layers(
    name: str, x: Tensor, state: LayerState, weights: Sequence[Tensor], *, num_layers: int, train: bool
) -> tuple[Tensor, LayerState]:
    """`x[T, B, I]` and the state, each tensor `[L, B, H]` -> `y[T, B, H]` and the state after.

    `weights` are all layers' in torch.nn.LSTM's order; `train` keeps what a backward pass needs.
    """
    first = state if len(state) > 1 else state[0]
    y, *after = VENDORS[name].layers(x, first, list(weights), True, num_layers, 0.0, train, False, False)
    return y, tuple(after)


def run_step(name: str, x: Tensor, state: LayerState, weights: Sequence[Tensor]) -> LayerState:
    """`x[B, I]` and one layer's state, each tensor `[B, H]` -> the state after."""
    if len(state) > 1:
        after: LayerState = VENDORS[name].step(x, state, *weights)
        return after
    return (VENDORS[name].step(x, state[0], *weights),)


def flatten(name: str, weights: list[Tensor], num_layers: int) -> None:
    """Move all parameters of some layers of one width into one block, as cuDNN wants them, in place.

    Never in inference mode: its tensors could not be trained again.
    """
    (_, inputs), (_, width) = weights[0].shape, weights[1].shape
    with torch.cuda.device(weights[0].device), torch.inference_mode(False), torch.no_grad():
        torch._cudnn_rnn_flatten_weight(
            weights, len(LayerWeights._fields), inputs, VENDORS[name].mode, width, 0, num_layers, False, False
        )
