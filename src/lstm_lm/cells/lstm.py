"""The long short-term memory cell, with torch.nn.LSTM's gate order and parameters.

Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997, with the forget gate of Gers, Schmidhuber and
Cummins, "Learning to Forget", 2000; in the notation of torch.nn.LSTM's documentation:

    i = sigmoid(W_ii x + b_ii + W_hi h + b_hi)      input gate
    f = sigmoid(W_if x + b_if + W_hf h + b_hf)      forget gate
    g = tanh   (W_ig x + b_ig + W_hg h + b_hg)      candidate
    o = sigmoid(W_io x + b_io + W_ho h + b_ho)      output gate
    c' = f * c + i * g
    h' = o * tanh(c')
"""

import torch
from torch import Tensor

from lstm_lm.cells.interface import Cell, LayerState, StepMasks


def step(
    from_input: Tensor,
    from_hidden: Tensor,
    state: LayerState,
    extras: tuple[Tensor, ...],  # noqa: ARG001
    masks: StepMasks,  # noqa: ARG001
) -> LayerState:
    """One LSTM step; shapes as in `lstm_lm.cells.interface.Step`, with G = 4 and the state `(h, c)`.

    With 16-bit products, gates and state are float32 all the same, or errors would add up over time.
    """
    _, c = state
    gates = from_input + from_hidden
    gates = gates.to(torch.promote_types(gates.dtype, torch.float32))
    i, f, g, o = gates.chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return h, c


LSTM = Cell(name="lstm", gates=4, state_tensors=2, step=step)
