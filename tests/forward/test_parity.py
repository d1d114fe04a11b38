"""Every strategy computes what torch.nn.LSTM, GRU and RNN compute: outputs, final states, and every gradient."""

import itertools
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from rounding import Results, assert_close, bound
from tiers import first
from torch import Tensor, nn

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import rnn_cell
from lstm_lm.forward.interface import Masks, StackState
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.registry import find, names

STRATEGIES = names("lstm_lm.forward.strategies")
PLAIN = {cell.name: cell for cell in (LSTM, GRU, *map(rnn_cell, ("tanh", "relu")))}
"""The cells that torch has modules of."""
MODULES: dict[str, Callable[[int, int], nn.RNNBase]] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn_tanh": nn.RNN,
    "rnn_relu": partial(nn.RNN, nonlinearity="relu"),
}
DTYPES = (torch.float64, torch.float32, torch.bfloat16)


class Shape(NamedTuple):
    steps: int
    batch: int
    inputs: int
    widths: tuple[int, ...]


SHAPES = [
    Shape(7, 3, 5, (4, 4, 4)),
    Shape(1, 3, 5, (4, 4)),
    Shape(9, 1, 4, (4,)),
    Shape(6, 2, 3, (8, 5, 2)),
    Shape(5, 2, 3, (4, 4, 4, 4, 4)),
]


def run(stack: RecurrentStack, x: Tensor, state: StackState, masks: Masks) -> Results:
    """Outputs, states, and the gradients of input, initial state and parameters, under one scalar of them all."""
    stack.zero_grad()
    x = x.clone().requires_grad_()
    state = tuple(tuple(tensor.clone().requires_grad_() for tensor in layer) for layer in state)
    y, after = stack(x, state, masks)
    ends = [*itertools.chain(*after)]
    weight = torch.linspace(0.5, 1.5, y.shape[-1], dtype=y.dtype, device=y.device)
    ((y * weight).sum() + sum(tensor.square().sum() for tensor in ends)).backward()
    return results([y, *ends], [x, *itertools.chain(*state)], stack.parameters())


def results(values: Iterable[Tensor], inputs: Iterable[Tensor], parameters: Iterable[Tensor]) -> Results:
    """These values, and the gradients of the rest."""

    def gradient(tensor: Tensor) -> Tensor:
        assert tensor.grad is not None
        return tensor.grad

    return Results(tuple(values), tuple(map(gradient, inputs)), tuple(map(gradient, parameters)))


def values(y: Tensor, state: StackState) -> Results:
    """An output and the state it ends with, no gradients."""
    return Results((y, *itertools.chain(*state)))


def state_of(cell: Cell, shape: Shape, dtype: torch.dtype) -> StackState:
    return tuple(
        tuple(torch.randn(shape.batch, width, dtype=dtype) for _ in range(cell.state_tensors)) for width in shape.widths
    )


def example(
    shape: Shape, dtype: torch.dtype, *, dropout: float, cell: Cell = LSTM
) -> tuple[RecurrentStack, Tensor, StackState, Masks]:
    torch.manual_seed(1)
    stack = RecurrentStack(cell, shape.inputs, shape.widths).to(dtype)
    x = torch.randn(shape.steps, shape.batch, shape.inputs, dtype=dtype)
    state = state_of(cell, shape, dtype)
    if not dropout:
        return stack, x, state, Masks()
    masks = tuple(
        (torch.rand(shape.steps, shape.batch, width) > dropout).to(dtype) / (1 - dropout) for width in shape.widths[:-1]
    )
    return stack, x, state, Masks(masks)


def reference(stack: RecurrentStack, x: Tensor, state: StackState, masks: Masks) -> Results:
    """Torch's modules of one layer each, in float64, with the same masks between them."""
    exact = RecurrentStack(stack.spec.cell, stack.spec.input_size, stack.spec.hidden_sizes).double()
    exact.load_state_dict({name: tensor.double() for name, tensor in stack.state_dict().items()})
    make = MODULES[stack.spec.cell.name]
    modules = [make(i, h).double() for i, h in zip(exact.spec.input_sizes, exact.spec.hidden_sizes, strict=True)]
    for module, weights in zip(modules, exact.layers(), strict=True):
        module.load_state_dict({f"{name}_l0": tensor for name, tensor in weights._asdict().items()})
    x = x.double().requires_grad_()
    start = tuple(tuple(tensor.double().requires_grad_() for tensor in layer) for layer in state)
    y, after = x, []
    for index, (module, layer) in enumerate(zip(modules, start, strict=True)):
        if index and masks.between:
            y = y * masks.between[index - 1].double()
        given = tuple(tensor.unsqueeze(0) for tensor in layer)
        y, ended = module(y, given if len(given) > 1 else given[0])
        after += [tensor[0] for tensor in (ended if len(given) > 1 else (ended,))]
    weight = torch.linspace(0.5, 1.5, y.shape[-1], dtype=y.dtype, device=y.device)
    ((y * weight).sum() + sum(tensor.square().sum() for tensor in after)).backward()
    return results([y, *after], [x, *itertools.chain(*start)], (p for module in modules for p in module.parameters()))


@pytest.mark.parametrize("dropout", first([0.4, 0.0]))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", first(SHAPES), ids=str)
@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("cell", PLAIN)
def test_strategy_agrees_with_torch(cell: str, name: str, shape: Shape, dtype: torch.dtype, dropout: float) -> None:
    stack, x, state, masks = example(shape, dtype, dropout=dropout, cell=PLAIN[cell])
    strategy = find("lstm_lm.forward.strategies", name, "forward").STRATEGY()
    reason = strategy.supports(stack.spec, x.device, dtype)
    if reason is not None:
        pytest.skip(reason)
    stack.strategy = strategy
    assert_close(run(stack, x, state, masks), reference(stack, x, state, masks), bound(stack.spec, x))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("cell", PLAIN)
def test_sampling_step_agrees_with_training(cell: str, shape: Shape) -> None:
    """Without gradients, single steps take another vendor kernel on a CPU."""
    stack, x, state, _ = example(shape, torch.float64, dropout=0.0, cell=PLAIN[cell])
    expected, expected_state = stack(x, state)
    with torch.no_grad():
        outputs = []
        for step in x:
            y, state = stack(step.unsqueeze(0), state)
            outputs.append(y[0])
    assert_close(values(torch.stack(outputs), state), values(expected, expected_state), bound(stack.spec, x))


def test_masks_take_effect() -> None:
    stack, x, state, masks = example(SHAPES[0], torch.float64, dropout=0.4)
    assert not torch.allclose(stack(x, state, masks)[0], stack(x, state)[0])


def test_a_window_without_steps_is_refused() -> None:
    stack, x, state, _ = example(SHAPES[0], torch.float32, dropout=0.0)
    with pytest.raises(ValueError, match="at least one step"):
        stack(x[:0], state)


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("cell", PLAIN)
def test_the_same_under_autocast_within_bfloat16(cell: str, name: str) -> None:
    stack, x, state, masks = example(SHAPES[0], torch.float32, dropout=0.4, cell=PLAIN[cell])
    expected = reference(stack, x, state, masks)
    stack.strategy = find("lstm_lm.forward.strategies", name, "forward").STRATEGY()
    with torch.autocast("cpu", torch.bfloat16):
        found = run(stack, x, state, masks)
    assert_close(found, expected, bound(stack.spec, x, torch.bfloat16))
