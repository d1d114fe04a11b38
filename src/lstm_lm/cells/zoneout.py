"""Zoneout: some of a state's numbers stay as they were.

Source: Krueger et al., "Zoneout: Regularizing RNNs by Randomly Preserving Hidden Activations", 2017; for an LSTM

    c' = stay_c * c + (1 - stay_c) * (f * c + i * g)
    h' = stay_h * h + (1 - stay_h) * (o * tanh(f * c + i * g))

where each number of stay_c is 1 with probability p_c, else 0, drawn at each step, and stay_h with p_h. At test time
both are their expectations, p_c and p_h. What h' reads is the cell state before zoneout.
"""

import torch
from torch import Tensor


def zone_out(old: Tensor, new: Tensor, stay: Tensor | None) -> Tensor:
    """`old` and `new` `[..., B, H]`; `stay`, from 0 to 1, broadcasts against them."""
    if stay is None:
        return new
    return torch.lerp(new, old.to(new.dtype), stay.to(new.dtype))  # one operation for new + stay * (old - new)
