"""The parameters of L recurrent layers, named and laid out as in torch.nn.LSTM, run by a strategy."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from lstm_lm.cells.interface import Cell, Extra
from lstm_lm.forward.interface import LayerWeights, Masks, StackSpec, StackState, Strategy
from lstm_lm.forward.strategies.fused import Fused
from lstm_lm.forward.strategies.stepwise import Stepwise
from lstm_lm.forward.vendor import why_not
from lstm_lm.models.weight_drop import WeightDrop


class RecurrentStack(nn.Module):
    """L layers of one cell; each layer may have its own width.

    Parameters are `weight_ih_l{l}` `[G * H_l, I_l]`, `weight_hh_l{l}` `[G * H_l, H_l]`, `bias_ih_l{l}` and
    `bias_hh_l{l}` `[G * H_l]`: the state dict of a plain `torch.nn.LSTM` loads, and the reverse; so does
    `torch.nn.GRU`'s or `torch.nn.RNN`'s for their cells. A cell with further parameters adds them under its own names,
    `{name}_l{l}`.
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
        self.spec = StackSpec(cell, input_size, tuple(hidden_sizes), layer_dropout, tuple(regularised))
        self.strategy: Strategy = Fused() if why_not(self.spec) is None else Stepwise()
        self.vendor_layout: str | None = None
        self._in_cuda_graphs = False
        for index, (inputs, width) in enumerate(zip(self.spec.input_sizes, hidden_sizes, strict=True)):
            rows = cell.gates * width
            for name, shape in zip(
                LayerWeights._fields, ((rows, inputs), (rows, width), (rows,), (rows,)), strict=True
            ):
                self.register_parameter(f"{name}_l{index}", nn.Parameter(torch.empty(shape)))
            for extra in _further(cell):
                self.register_parameter(f"{extra.name}_l{index}", nn.Parameter(torch.empty(extra.multiple * width)))
        if initialise:
            self.reset_parameters()

    @property
    def stored(self) -> Self:
        """This stack: it holds the parameters."""
        return self

    def reset_parameters(self) -> None:
        """Orthogonal recurrent weights for each gate; Xavier-uniform input weights for each gate; zero biases."""
        gates = self.spec.cell.gates
        for weights in self.layer_parameters():
            for block in weights.weight_ih.chunk(gates):
                nn.init.xavier_uniform_(block)
            for block in weights.weight_hh.chunk(gates):
                nn.init.orthogonal_(block)
            nn.init.zeros_(weights.bias_ih)
            nn.init.zeros_(weights.bias_hh)
        self._reset_extras()

    def reset_parameters_uniform(self) -> None:
        """torch.nn.LSTM's own initialisation: all uniform within 1 / sqrt(H)."""
        for weights, width in zip(self.layer_parameters(), self.spec.hidden_sizes, strict=True):
            for tensor in weights:
                nn.init.uniform_(tensor, -(width**-0.5), width**-0.5)
        self._reset_extras()

    def _reset_extras(self) -> None:
        for index in range(self.spec.num_layers):
            for extra in _further(self.spec.cell):
                nn.init.constant_(self.get_parameter(f"{extra.name}_l{index}"), extra.initial)

    def layer_parameters(self) -> Iterator[LayerWeights]:
        """Each layer's parameters by torch.nn.LSTM's names, from the input upwards."""
        for index in range(self.spec.num_layers):
            yield LayerWeights(*(self._named(name, index) for name in LayerWeights._fields))

    def layers(self) -> Iterator[LayerWeights]:
        """Each layer's parameters as the products use them: a bias that the cell itself adds is all zeros."""
        own = {extra.name for extra in self.spec.cell.extras}.intersection(LayerWeights._fields)
        if not own:
            yield from self.layer_parameters()
            return
        for weights in self.layer_parameters():
            yield weights._replace(**{name: torch.zeros_like(getattr(weights, name)) for name in own})

    def extras(self) -> Iterator[tuple[Tensor, ...]]:
        for index in range(self.spec.num_layers):
            yield tuple(self._named(extra.name, index) for extra in self.spec.cell.extras)

    def flat_weights(self) -> list[Tensor]:
        return [tensor for weights in self.layers() for tensor in weights]

    def initial_state(self, batch_size: int) -> StackState:
        """All zeros, each layer's on its parameters' device and in their type."""
        tensors = self.spec.cell.state_tensors
        likes = (self._named("weight_hh", index) for index in range(self.spec.num_layers))
        return tuple(
            tuple(torch.zeros(batch_size, width, device=like.device, dtype=like.dtype) for _ in range(tensors))
            for width, like in zip(self.spec.hidden_sizes, likes, strict=True)
        )

    def forward(
        self, x: Tensor, state: StackState, masks: Masks | None = None, weight_masks: Sequence[Tensor] = ()
    ) -> tuple[Tensor, StackState]:
        """Run the stack over `x[T, B, I]` from `state` with the chosen strategy; gives `y[T, B, H_L]` and the state.

        `weight_masks` are factors on each layer's recurrent weights, `[G * H_l, H_l]`, for this window; empty: none.

        Raises:
            ValueError: a window of no steps (T = 0).
        """
        if x.shape[0] == 0:
            raise ValueError("a window needs at least one step: x has shape [T=0, B, I]")
        stack = WeightDrop(self, weight_masks) if weight_masks else self
        y, state = self.strategy.run(stack, x, state, masks or Masks())
        if self._in_cuda_graphs and x.is_cuda:
            # the graphs' next replay overwrites what they gave, but the state is carried into the next window
            state = tuple(tuple(tensor.clone() for tensor in layer) for layer in state)
        return y, state

    def compile_strategy(self, mode: str) -> bool:
        """Have the strategy's own parts compiled by torch.compile, with its `mode`; whether it has any."""
        compiled = self.strategy.compile(mode)
        self._in_cuda_graphs = compiled and mode != "default"
        return compiled

    def _named(self, name: str, index: int) -> nn.Parameter:
        return self._parameters[f"{name}_l{index}"]  # type: ignore[return-value]

    def use(self, strategy: Strategy) -> None:
        """Run with `strategy` from now on, the layers placed where it wants them.

        Layers that an earlier strategy had spread over devices go to the first one's before.
        """
        self.strategy.close()
        self.strategy = strategy
        self._place()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.vendor_layout = None  # a move to another device or type makes new tensors
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._place()  # whoever moved the whole, Lightning for one, doesn't know of layers on several devices
        return self

    def _place(self) -> None:
        """Each layer's parameters on its device; they stay the same `Parameter` objects, so an optimizer keeps them."""
        root = self._named("weight_hh", 0).device
        if root.type == "meta":
            return
        names = (*LayerWeights._fields, *(extra.name for extra in _further(self.spec.cell)))
        for index, device in enumerate(self.strategy.place(self.spec, root)):
            for name in names:
                parameter = self._named(name, index)
                if parameter.device != device:
                    parameter.data = parameter.data.to(device)
                    self.vendor_layout = None
                    if parameter.grad is not None:
                        parameter.grad = parameter.grad.to(device)


def _further(cell: Cell) -> list[Extra]:
    """The cell's parameters that torch.nn.LSTM does not have."""
    return [extra for extra in cell.extras if extra.name not in LayerWeights._fields]
