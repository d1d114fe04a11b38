"""What every language model is to the rest of the project.

model(tokens[T, B], state) -> logits[T, B, V], state
model.initial_state(B) -> state          a nest of tensors that a checkpoint can hold
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lstm_lm.forward.choose import ForwardPath, check_forward
from lstm_lm.forward.interface import Workload
from lstm_lm.models.dropout import MaskSource
from lstm_lm.options import Options

State = Any
"""A nest of tuples of tensors; its shape is the model's own business."""


class Outputs(NamedTuple):
    """What `LanguageModel.forward_with_hidden` gives."""

    logits: Tensor
    """Unnormalised log probabilities of the next tokens, `[T, B, V]`."""
    state: State
    """The state after the window."""
    hidden: Tensor
    """The last layer's outputs, `[T, B, H]`."""
    dropped: Tensor
    """`hidden` after dropout, as the output projection reads it, `[T, B, H]`."""


class LanguageModel(nn.Module, ABC):
    """Predicts each next token from those before it."""

    OptionsType: ClassVar[type[Options]]
    """The configuration's `model` section."""
    objective: ClassVar[str] = "language_modelling"
    """The `objective=` that trains it: what is for language models (writing, evaluation) asks for this."""
    compilable: ClassVar[tuple[str, ...]] = ()
    """Names of submodules that torch.compile can each turn into one full graph."""
    token_parts: ClassVar[tuple[str, ...]] = ("embedding", "head")
    """Names of submodules whose weights have a row or column for each token."""

    hands_out_hidden: ClassVar[bool] = False
    """Whether there is a `forward_with_hidden`."""

    def __init__(self, options: Options, vocabulary_size: int) -> None:  # noqa: ARG002
        # every backbone is made from its options and V
        super().__init__()
        self.vocabulary_size = vocabulary_size
        self.masks = MaskSource()

    @classmethod
    def check_forward(cls, section: Mapping[str, Any]) -> None:
        """Check the `forward` section as far as it can be checked without making the model.

        Raises:
            UserError: no such strategy, or no strategy runs such a model; a key is wrong.
        """
        check_forward(section)

    @property
    def context_limit(self) -> int | None:
        """The last so many tokens decide the next token's probabilities; None: all tokens that were read may."""
        return None

    def reset_parameters(self) -> None:
        """Draw the initial parameters from torch's global generator, those that were not drawn on construction."""

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before any token, for B streams."""

    @abstractmethod
    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """`tokens` int64 `[T, B]` and the state before them -> `logits[T, B, V]` and the state after them.

        Dropout acts where the module is in training mode.
        """

    def forward_with_hidden(self, tokens: Tensor, state: State) -> Outputs:
        """Compute what `forward` does, and give the last layer's outputs besides: for what regularises them.

        Raises:
            NotImplementedError: where `hands_out_hidden` is not set.
        """
        raise NotImplementedError(f"{type(self).__name__} hands out no hidden states")

    @abstractmethod
    def use_forward(self, forward: str | Mapping[str, Any], device: torch.device, workload: Workload) -> ForwardPath:
        """Run with the forward strategy that is asked for; says which, and why.

        Args:
            forward: the `forward` section, or a strategy's name; "auto": the fastest that can.
            device: where the model will be.
            workload: what it will be asked to do.

        Raises:
            UserError: no such strategy, or it cannot run this model there.
        """

    def close(self) -> None:
        """End what the forward strategy keeps between windows, threads above all. The model can be used again."""

    def compile_parts(self, mode: str) -> int:
        """Hand, in place, every part that can be one graph to torch.compile; names in the state dict stay as they are.

        Nothing is compiled before it first runs.

        Args:
            mode: torch.compile's mode.

        Returns:
            How many parts that were.
        """
        for name in self.compilable:
            # dynamic: an epoch's last window is shorter, and must not compile again
            self.get_submodule(name).compile(mode=mode, fullgraph=True, dynamic=True)
        return len(self.compilable)

    def num_parameters(self) -> int:
        """Trained numbers; tied weights count once."""
        return sum(parameter.numel() for parameter in self.parameters())

    @abstractmethod
    def activation_floats(self, tokens: int) -> int:
        """About how many numbers a training step over `tokens` = T * B tokens keeps for its backward pass."""

    def _mask(self, p: float, shape: tuple[int, ...], like: Tensor) -> Tensor | None:
        """A dropout mask where there is something to drop. Drawn in one order whatever runs the layers."""
        return self.masks.draw(p, shape, like) if self.training and p else None
