"""Layer normalisation inside a cell.

Source: Ba, Kiros and Hinton, "Layer Normalization", 2016; for x of n numbers,

    LN(x; gain, bias) = gain * (x - mean) / sqrt(variance + epsilon) + bias
    mean = sum x / n,  variance = sum (x - mean)^2 / n

epsilon, which the paper leaves out, is torch.nn.LayerNorm's 1e-5.
"""

import torch
from torch import Tensor
from torch.nn import functional as F


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """`x[..., B, n]`, `gain` and `bias` `[n]` or `[..., 1, n]` -> `[..., B, n]`."""
    # a batch of layers has as many gains as layers: torch's own function takes one only
    return torch.addcmul(bias, F.layer_norm(x, x.shape[-1:]), gain)
