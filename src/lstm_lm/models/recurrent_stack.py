"""The parameters of L recurrent layers, named and laid out as in torch.nn.LSTM, run by a strategy."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from lstm_lm.cells.interface import Cell
from lstm_lm.forward.fused import Fused
from lstm_lm.forward.interface import LayerWeights, Masks, StackSpec, StackState, Strategy
from lstm_lm.forward.stepwise import Stepwise


class RecurrentStack(nn.Module):
    """L layers of one cell; each layer may have its own width.

    Parameters are `weight_ih_l{l}` `[G * H_l, I_l]`, `weight_hh_l{l}` `[G * H_l, H_l]`, `bias_ih_l{l}` and
    `bias_hh_l{l}` `[G * H_l]`: the state dict of a plain `torch.nn.LSTM` loads, and the reverse. A cell with further
    parameters adds them under its own names, `{name}_l{l}`.
    """

    def __init__(
        self,
        cell: Cell,
        input_size: int,
        hidden_sizes: Sequence[int],
        *,
        layer_dropout: bool = False,
        regularised: Sequence[str] = (),
        initialise: bool = True,
    ) -> None:
        """Make the parameters; without `initialise` they hold whatever the memory held."""
        super().__init__()
        self._spec = StackSpec(cell, input_size, tuple(hidden_sizes), layer_dropout, tuple(regularised))
        self.strategy: Strategy = Stepwise() if self._spec.deviations else Fused()
        self.vendor_layout: str | None = None
        for index, (inputs, width) in enumerate(zip(self._spec.input_sizes, hidden_sizes, strict=True)):
            rows = cell.gates * width
            for name, shape in zip(
                LayerWeights._fields, ((rows, inputs), (rows, width), (rows,), (rows,)), strict=True
            ):
                self.register_parameter(f"{name}_l{index}", nn.Parameter(torch.empty(shape)))
            for extra in cell.extras:
                self.register_parameter(f"{extra.name}_l{index}", nn.Parameter(torch.empty(extra.multiple * width)))
        if initialise:
            self.reset_parameters()

    @property
    def spec(self) -> StackSpec:
        """Cell and sizes."""
        return self._spec

    def reset_parameters(self) -> None:
        """Orthogonal recurrent weights for each gate; Xavier-uniform input weights for each gate; zero biases."""
        gates = self._spec.cell.gates
        for weights in self.layers():
            for block in weights.weight_ih.chunk(gates):
                nn.init.xavier_uniform_(block)
            for block in weights.weight_hh.chunk(gates):
                nn.init.orthogonal_(block)
            nn.init.zeros_(weights.bias_ih)
            nn.init.zeros_(weights.bias_hh)
        self._reset_extras()

    def reset_parameters_uniform(self) -> None:
        """torch.nn.LSTM's own initialisation: all uniform within 1 / sqrt(H)."""
        for weights, width in zip(self.layers(), self._spec.hidden_sizes, strict=True):
            for tensor in weights:
                nn.init.uniform_(tensor, -(width**-0.5), width**-0.5)
        self._reset_extras()

    def _reset_extras(self) -> None:
        for parameters in self.extras():
            for extra, parameter in zip(self._spec.cell.extras, parameters, strict=True):
                nn.init.constant_(parameter, extra.initial)

    def layers(self) -> Iterator[LayerWeights]:
        """Each layer's parameters, from the input upwards."""
        parameters = self._parameters
        for index in range(self._spec.num_layers):
            yield LayerWeights(*(parameters[f"{name}_l{index}"] for name in LayerWeights._fields))  # type: ignore[arg-type]

    def extras(self) -> Iterator[tuple[Tensor, ...]]:
        """Each layer's further parameters, in the order of `Cell.extras`; each `[multiple * H_l]`."""
        parameters = self._parameters
        for index in range(self._spec.num_layers):
            yield tuple(parameters[f"{extra.name}_l{index}"] for extra in self._spec.cell.extras)  # type: ignore[misc]

    def flat_weights(self) -> list[Tensor]:
        """All of torch.nn.LSTM's parameters, in its order."""
        return [tensor for weights in self.layers() for tensor in weights]

    def initial_state(self, batch_size: int) -> StackState:
        """All zeros, on the parameters' device and in their type."""
        like = next(self.parameters())
        tensors = self._spec.cell.state_tensors
        return tuple(
            tuple(torch.zeros(batch_size, width, device=like.device, dtype=like.dtype) for _ in range(tensors))
            for width in self._spec.hidden_sizes
        )

    def forward(self, x: Tensor, state: StackState, masks: Masks | None = None) -> tuple[Tensor, StackState]:
        """Run the stack over `x[T, B, I]` from `state` with the chosen strategy; gives `y[T, B, H_L]` and the state.

        Raises:
            ValueError: a window of no steps (T = 0).
        """
        if x.shape[0] == 0:
            raise ValueError("a window needs at least one step: x has shape [T=0, B, I]")
        return self.strategy.run(self, x, state, masks or Masks())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.vendor_layout = None  # a move to another device or type makes new tensors
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self
