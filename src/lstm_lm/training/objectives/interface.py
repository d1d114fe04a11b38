"""What an objective is: `objective.loss(model, batch, state) -> loss, state, metrics`."""

from typing import NamedTuple, Protocol

from torch import Tensor

from lstm_lm.data.streams import Batch
from lstm_lm.models.interface import LanguageModel, State


class Loss(NamedTuple):
    """One window's loss."""

    loss: Tensor
    """Scalar to minimise: the mean over the predicted tokens."""
    state: State
    """The state after the window, still part of the graph."""
    nats: Tensor
    """Scalar: the summed loss of the predicted tokens."""
    tokens: Tensor
    """Scalar int64: how many tokens were predicted."""


class Objective(Protocol):
    """A way to turn a window into a number to minimise."""

    def compile(self, mode: str) -> None:
        """Turn what lies between the model's outputs and the loss into one graph of torch.compile."""

    def loss(self, model: LanguageModel, batch: Batch, state: State) -> Loss:
        """Run `model` over `batch` from `state`."""
