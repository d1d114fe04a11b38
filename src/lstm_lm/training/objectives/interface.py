"""What an objective is: `objective.loss(model, batch, state) -> Loss`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar, NamedTuple

from torch import Tensor

from lstm_lm.data.streams import Batch
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.options import Options


class Ratio(NamedTuple):
    """How many of how many; scalars, int64."""

    hits: Tensor
    total: Tensor


class Loss(NamedTuple):
    """One window's loss."""

    loss: Tensor
    """Scalar to minimise: the mean over the predicted tokens, with whatever regularises."""
    state: State
    """The state after the window, still part of the graph."""
    nats: Tensor
    """Scalar without a graph: the summed cross-entropy of the predicted tokens, and nothing else."""
    shares: Mapping[str, Ratio] = MappingProxyType({})
    """What else is counted, by name: a validation's totals become `val/NAME`."""


class Objective(Options, ABC):
    """A way to turn a window into a number to minimise; its fields are the keys of the `objective` section.

    Its module holds the class as the constant `OBJECTIVE`.
    """

    name: str

    no_bits: ClassVar[str | None] = None
    """Why its loss says nothing in bits per byte; None: it does."""

    def check(self, model: type[LanguageModel], name: str) -> None:
        """Refuse, before any data is read, a backbone (`model=NAME`) that cannot be trained like this.

        Raises:
            UserError: it cannot; the message says why.
        """

    def compile(self, mode: str) -> None:
        """Turn what lies between the model's outputs and the loss into one graph of torch.compile."""

    @abstractmethod
    def loss(self, model: LanguageModel, batch: Batch, state: State) -> Loss:
        """Run `model` over `batch` from `state`. What regularises acts only where `model` is in training mode."""
