"""The gated recurrent unit, with torch.nn.GRU's gate order and parameters.

Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder for Statistical Machine Translation",
2014; in the notation of torch.nn.GRU's documentation:

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)        reset gate
    z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)        update gate
    n = tanh   (W_in x + b_in + r * (W_hn h + b_hn))  candidate
    h' = (1 - z) * n + z * h

The reset gate acts after the product with the hidden state, as in cuDNN; the paper's last version has it before. So
the step needs both shares of the candidate, not only their sum.
"""

import torch
from torch import Tensor

from lstm_lm.cells.interface import Cell, LayerState, StepMasks
from lstm_lm.cells.recurrent_dropout import drop
from lstm_lm.cells.zoneout import zone_out


def _step(
    from_input: Tensor, from_hidden: Tensor | None, state: LayerState, extras: tuple[Tensor, ...], masks: StepMasks
) -> LayerState:
    """One step; shapes as in `lstm_lm.cells.interface.Step`, with G = 3 and the state `(h,)`.

    With 16-bit products, gates and state are float32 all the same, or errors would add up over time.
    """
    assert from_hidden is not None, "this cell is not additive"
    assert not extras
    (h,) = state
    kind = torch.promote_types(from_input.dtype, torch.float32)
    r_input, z_input, n_input = from_input.to(kind).chunk(3, dim=-1)
    r_hidden, z_hidden, n_hidden = from_hidden.to(kind).chunk(3, dim=-1)
    r = torch.sigmoid(r_input + r_hidden)
    z = torch.sigmoid(z_input + z_hidden)
    n = drop(torch.tanh(torch.addcmul(n_input, r, n_hidden)), masks.candidate)
    return (zone_out(h, torch.lerp(n, h.to(kind), z), masks.hidden),)


GRU = Cell(name="gru", gates=3, state_tensors=1, step=_step, masks=("candidate", "hidden"), kept=8)
