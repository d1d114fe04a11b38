"""What an objective is: `objective.loss(model, batch, state) -> Loss`."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from lstm_lm.data.streams import Batch
from lstm_lm.models.interface import LanguageModel, State
from lstm_lm.options import Options


class Share(NamedTuple):
    """How many of how many; scalars, int64."""

    hits: Tensor
    of: Tensor


class Loss(NamedTuple):
    """One window's loss."""

    loss: Tensor
    """Scalar to minimise: the mean over the predicted tokens, with whatever regularises."""
    state: State
    """The state after the window, still part of the graph."""
    nats: Tensor
    """Scalar without a graph: the summed cross-entropy of the predicted tokens, and nothing else."""
    shares: Mapping[str, Share] = MappingProxyType({})
    """What else is counted, by name: a validation's totals become `val/NAME`."""


class Objective(ABC):
    """A way to turn a window into a number to minimise. Its module holds it as the constant `OBJECTIVE`."""

    OptionsType: ClassVar[type[Options]]
    """The configuration's `objective` section."""
    no_bits: ClassVar[str | None] = None
    """Why its loss says nothing in bits per byte; None: it does."""

    def __init__(self, options: Any, model_options: Any) -> None:
        """Take the checked `objective` section, and the checked `model` section of what will be trained."""
        self.options = options
        self.model_options = model_options

    @classmethod  # noqa: B027  (most train with any)
    def check(cls, options: Any, model: type[LanguageModel], model_options: Any) -> None:
        """Refuse, before any data is read, a backbone that cannot be trained like this.

        Raises:
            UserError: it cannot; the message says why.
        """

    def compile(self, mode: str) -> None:  # noqa: B027  (there may be nothing)
        """Turn what lies between the model's outputs and the loss into one graph of torch.compile."""

    @abstractmethod
    def loss(self, model: LanguageModel, batch: Batch, state: State) -> Loss:
        """Run `model` over `batch` from `state`. What regularises acts only where `model` is in training mode."""
