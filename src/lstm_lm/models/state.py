"""The carried hidden state: a nest of tuples of tensors, cut off from its graph, moved, and put into checkpoints."""

from typing import Any

import torch
from torch import Tensor

from lstm_lm.models.interface import State


def detach(state: State) -> State:
    """The state's numbers without their history: where truncated back-propagation through time truncates."""
    return _map(state, Tensor.detach)


def to_device(state: State, device: torch.device) -> State:
    """The state's numbers on `device`."""
    return _map(state, lambda tensor: tensor.to(device))


def clone(state: State) -> State:
    """A copy that nothing else writes to."""
    return _map(state, lambda tensor: tensor.detach().clone())


def _map(state: State, function: Any) -> State:
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, (tuple, list)):
        return tuple(_map(part, function) for part in state)
    return state
