"""What a forward strategy gets and gives.

    strategy.supports(spec, device, dtype) -> None | reason
    strategy.run(stack, x[T, B, I], state, masks) -> y[T, B, H], state

A strategy holds no parameters and keeps nothing between calls that a checkpoint would need.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import torch
from torch import Tensor

from lstm_lm.cells.interface import Cell, LayerState, StepMasks
from lstm_lm.options import Options

StackState = tuple[LayerState, ...]
"""The state of a stack: one `LayerState` a layer, each tensor `[B, H_l]` with that layer's own width H_l."""


@dataclass(frozen=True)
class StackSpec:
    """All that decides whether a strategy can run a stack."""

    cell: Cell
    input_size: int
    hidden_sizes: tuple[int, ...]
    """H_l of each layer, from the input upwards."""
    layer_dropout: bool = False
    """Whether training puts masks between the layers."""
    regularised: tuple[str, ...] = ()
    """What acts inside a step, as the user set it ("recurrent_dropout=0.2"): no vendor's kernel has it."""

    @property
    def num_layers(self) -> int:
        """L."""
        return len(self.hidden_sizes)

    @property
    def uniform(self) -> bool:
        """Whether all layers have one width."""
        return len(set(self.hidden_sizes)) == 1

    @property
    def input_sizes(self) -> tuple[int, ...]:
        """Width of each layer's input."""
        return (self.input_size, *self.hidden_sizes[:-1])

    @property
    def deviations(self) -> tuple[str, ...]:
        """Every setting that keeps the stack off the vendor's kernel."""
        return self.cell.deviations + self.regularised


class LayerWeights(NamedTuple):
    """One layer's parameters, in torch.nn.LSTM's layout."""

    weight_ih: Tensor  # [G * H, I]
    weight_hh: Tensor  # [G * H, H]
    bias_ih: Tensor  # [G * H]
    bias_hh: Tensor  # [G * H]


@dataclass(frozen=True)
class Masks:
    """The dropout masks of one window: drawn by the model from its own generator, applied by the strategy.

    A mask is already scaled by 1 / (1 - p), so applying one is a product.
    """

    between: tuple[Tensor, ...] = ()
    """L - 1 masks `[T, B, H_l]`, or `[1, B, H_l]` for all steps alike, each on a layer's output before the next layer
    reads it; empty: no dropout."""
    inside: tuple[StepMasks, ...] = ()
    """L masks for the inside of the steps; empty: none."""


def mask_at(mask: Tensor, t: int) -> Tensor:
    """The mask of step t, out of one for every step or one for all."""
    return mask[t if mask.shape[0] > 1 else 0]


def steps_of(mask: Tensor, start: int, length: int) -> Tensor:
    """The mask of `length` steps from `start` on, out of one for every step or one for all."""
    return mask.narrow(0, start, length) if mask.shape[0] > 1 else mask


class Stack(Protocol):
    """A stack of recurrent layers, as a strategy sees it."""

    vendor_layout: str | None
    """How the parameters lie in memory for a vendor kernel; None again after every move of the parameters."""

    @property
    def stored(self) -> "Stack":
        """The stack that holds the parameters: this one, or the one that this window's weights are made from."""

    @property
    def spec(self) -> StackSpec:
        """Cell and sizes."""

    def layers(self) -> Iterator[LayerWeights]:
        """Each layer's parameters, from the input upwards; a bias that the cell itself adds is all zeros here."""

    def extras(self) -> Iterator[tuple[Tensor, ...]]:
        """Each layer's further parameters, in the order of `Cell.extras`; each `[multiple * H_l]`."""

    def flat_weights(self) -> list[Tensor]:
        """All of torch.nn.LSTM's parameters, in its order."""


@dataclass(frozen=True)
class Workload:
    """What a strategy will be asked to do, as far as that decides which of them is fastest."""

    batch_size: int
    """B."""
    steps: int
    """T."""
    dtype: torch.dtype
    """Type of the products."""
    training: bool
    """Whether a backward pass follows."""
    compiled: bool = False
    """Whether torch.compile is used."""


class ForwardOptions(Options):
    """The `forward` section; a strategy with keys of its own has its own class."""

    name: str


class Strategy(ABC):
    """One way to run a stack."""

    name: ClassVar[str]
    OptionsType: ClassVar[type[ForwardOptions]] = ForwardOptions

    @classmethod
    def from_options(cls, section: Mapping[str, Any]) -> Self:
        """Make it as the `forward` section says; without arguments, `cls()` decides everything by its own rules.

        Raises:
            UserError: a key is unknown or missing, or its value is out of range.
        """
        options = cls.OptionsType.parse(section, "forward")
        return cls(**{key: value for key, value in options if key != "name"})

    @abstractmethod
    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> str | None:
        """None where this strategy can run such a stack there, else the reason why not, for people to read."""

    @abstractmethod
    def cost(self, spec: StackSpec, device: torch.device, workload: Workload) -> float:
        """About how long a window takes, in microseconds. Only ratios between strategies on one device count."""

    @abstractmethod
    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        """Run `stack` over a window.

        Args:
            stack: the parameters.
            x: `[T, B, I]`, T >= 1.
            state: the state before the window.
            masks: what dropout does in this window.

        Returns:
            The last layer's hidden states `y[T, B, H_L]`, and the state after the window.
        """

    def place(self, spec: StackSpec, root: torch.device) -> tuple[torch.device, ...]:
        """The device of each layer, where the rest of the model is on `root`."""
        return (root,) * spec.num_layers

    def variants(
        self,
        spec: StackSpec,  # noqa: ARG002
        device: torch.device,  # noqa: ARG002
        workload: Workload,  # noqa: ARG002
    ) -> Sequence[Mapping[str, Any]]:
        """Keys of its `forward` section with values other than it takes by itself: what is worth timing here, too."""
        return ()

    def details(self, spec: StackSpec, device: torch.device, workload: Workload) -> str:  # noqa: ARG002
        """How it will run `spec`, where that is not all in its name: for people to read; else empty."""
        return ""

    def compile(self, mode: str) -> bool:  # noqa: ARG002
        """Have torch.compile turn into graphs what can be one, with its `mode`; whether there was anything."""
        return False

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """End what outlives a call, threads above all. The strategy can be used again."""
