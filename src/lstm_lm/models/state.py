"""The carried hidden state: a nest of tuples of tensors, cut off from its graph, moved, and put into checkpoints.

And taken apart into the states of single streams, and put together again.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lstm_lm.models.interface import LanguageModel, State


def detach(state: State) -> State:
    """The state's numbers without their history: where truncated back-propagation through time truncates."""
    return _map(state, Tensor.detach)


def to_device(state: State, device: torch.device) -> State:
    """The state's numbers on `device`."""
    return _map(state, lambda tensor: tensor.to(device))


def clone(state: State) -> State:
    """A copy that nothing else writes to."""
    return _map(state, lambda tensor: tensor.detach().clone())


def batch_axes(model: LanguageModel) -> Any:
    """Along which axis each tensor of the state has its streams: a nest like the state's, of ints.

    None: some tensor is that of all streams together, as what a Transformer has counted.
    """
    try:
        return _axes(model.initial_state(2), model.initial_state(3))
    except _Shared:
        return None


class _Shared(Exception):
    """Of a tensor without an axis of streams."""


def _axes(two: State, three: State) -> Any:
    if isinstance(two, Tensor):
        differ = [axis for axis, (a, b) in enumerate(zip(two.shape, three.shape, strict=True)) if a != b]
        if len(differ) != 1:
            raise _Shared
        return differ[0]
    if not isinstance(two, (tuple, list)):
        raise _Shared
    return tuple(_axes(*parts) for parts in zip(two, three, strict=True))


def join(parts: Sequence[State], axes: Any) -> State:
    """The state of all streams of `parts`, side by side; `axes` as from `batch_axes`."""
    if isinstance(axes, int):
        return torch.cat(list(parts), axes)
    return tuple(join(inner, axis) for *inner, axis in zip(*parts, axes, strict=True))


def columns(state: State, axes: Any, which: Tensor) -> State:
    """The state of the streams `which`, int64 `[n]`, in that order."""
    if isinstance(axes, int):
        return state.index_select(axes, which)
    return tuple(columns(part, axis, which) for part, axis in zip(state, axes, strict=True))


def _map(state: State, function: Any) -> State:
    if isinstance(state, Tensor):
        return function(state)
    if isinstance(state, (tuple, list)):
        return tuple(_map(part, function) for part in state)
    return state
