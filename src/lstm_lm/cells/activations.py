"""Activations by the name that a user types.

    tanh(x)
    relu(x) = max(0, x)
    leaky_relu(x) = max(0, x) + 0.01 min(0, x)
    sigmoid(x) = 1 / (1 + exp(-x))
    hard_sigmoid(x) = min(1, max(0, x / 6 + 1 / 2))

Sources: Maas, Hannun and Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models", 2013, for leaky_relu;
Courbariaux, Bengio and David, "BinaryConnect", 2015, for hard_sigmoid, here with PyTorch's slope of 1/6
(torch.nn.Hardsigmoid; Keras 2 had 1/5).
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: Mapping[str, Activation] = {"tanh": torch.tanh, "relu": torch.relu, "leaky_relu": F.leaky_relu}
"""Activations of the candidate, and of the cell state on its way out."""

GATE_ACTIVATIONS: Mapping[str, Activation] = {"sigmoid": torch.sigmoid, "hard_sigmoid": F.hardsigmoid}
"""Activations of the gates: from 0 to 1."""
