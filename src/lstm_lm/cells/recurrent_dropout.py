"""Recurrent dropout: forget some of what a step would write, and nothing of what is remembered.

Source: Semeniuta, Severyn and Barth, "Recurrent Dropout without Memory Loss", 2016, for an LSTM

    c' = f * c + i * d(g),  d(g) = mask * g,  mask 0 with probability p, else 1 / (1 - p)

and for a GRU, in torch.nn.GRU's notation,

    h' = (1 - z) * d(n) + z * h

with a mask for each step, one of the two samplings in the paper; at test time there is no mask.
"""

from torch import Tensor


def drop(candidate: Tensor, mask: Tensor | None) -> Tensor:
    """`candidate[..., B, H]`, and a mask that broadcasts against it."""
    return candidate if mask is None else candidate * mask
