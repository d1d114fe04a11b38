"""Every strategy, with every setting of its own, computes what torch.nn.LSTM computes at the edges of what is asked."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch
from rounding import Results, assert_close, bound
from test_parity import PLAIN, Shape, example, reference, run, state_of, values
from test_variants import CELLS
from tiers import first, smallest
from torch import Tensor

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell, StepMasks
from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward.interface import Masks, StackSpec, StackState, Strategy
from lstm_lm.forward.strategies.pipelined import Pipelined
from lstm_lm.forward.strategies.stepwise import Stepwise
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.registry import find, names

CPU = torch.device("cpu")
STRATEGIES = "lstm_lm.forward.strategies"
WAYS: dict[str, Callable[[], Strategy]] = {
    **{
        name: find("lstm_lm.forward.strategies", name, "forward").STRATEGY
        for name in names("lstm_lm.forward.strategies")
    },
    "pipelined, a step a chunk": partial(Pipelined, chunk=1, workers=2),
    "pipelined, the last chunk shorter": partial(Pipelined, chunk=4, workers=3),
    "pipelined, the window in one": partial(Pipelined, chunk=100, workers=2),
    "pipelined, on two devices": partial(Pipelined, chunk=3, devices=["cpu", "cpu"]),
}
SHAPES = {
    "one of everything": Shape(1, 1, 1, (32,)),
    "one step": Shape(1, 3, 5, (24, 24, 24)),
    "one stream": Shape(6, 1, 3, (24, 24)),
    "one layer": Shape(5, 2, 3, (24,)),
    "no multiple of a chunk": Shape(13, 3, 5, (24, 24, 24)),
    "a multiple of a chunk": Shape(12, 2, 3, (24, 24)),
    "more layers than steps": Shape(2, 2, 3, (24, 24, 24, 24)),
    "unequal widths": Shape(6, 2, 3, (32, 20, 24)),
}


class Precision(NamedTuple):
    parameters: torch.dtype
    autocast: torch.dtype | None

    @property
    def products(self) -> torch.dtype:
        return self.autocast or self.parameters


PRECISIONS = {
    "64-true": Precision(torch.float64, None),
    "32-true": Precision(torch.float32, None),
    "bf16-true": Precision(torch.bfloat16, None),
    "bf16-mixed": Precision(torch.float32, torch.bfloat16),
}


def run_with(
    make: Callable[[], Strategy],
    stack: RecurrentStack,
    given: tuple[Tensor, StackState, Masks],
    autocast: torch.dtype | None = None,
) -> Results:
    stack.use(make())
    try:
        with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
            return run(stack, *given)
    finally:
        stack.strategy.close()


def able_ways(spec: StackSpec) -> list[str]:
    return [way for way, make in WAYS.items() if make().supports(spec, CPU, torch.float64) is None]


@pytest.mark.parametrize("dropout", first([0.4, 0.0]))
@pytest.mark.parametrize("start", first(["given", "zero"]))
@pytest.mark.parametrize("precision", first(PRECISIONS))
@pytest.mark.parametrize(
    ("shape", "way"),
    [(name, way) for name, shape in SHAPES.items() for way in able_ways(StackSpec(LSTM, shape.inputs, shape.widths))],
)
def test_every_way_agrees_with_torch(shape: str, way: str, precision: str, start: str, dropout: float) -> None:
    how = PRECISIONS[precision]
    stack, x, state, masks = example(SHAPES[shape], how.parameters, dropout=dropout)
    if start == "zero":
        state = stack.initial_state(x.shape[1])
    found = run_with(WAYS[way], stack, (x, state, masks), how.autocast)
    assert_close(found, reference(stack, x, state, masks), bound(stack.spec, x, how.products))


@pytest.mark.parametrize("cell", first(["gru", "rnn_tanh"]))
@pytest.mark.parametrize(
    ("shape", "way"),
    [(name, way) for name, shape in SHAPES.items() for way in able_ways(StackSpec(GRU, shape.inputs, shape.widths))],
)
def test_every_way_agrees_with_torchs_other_modules(shape: str, way: str, cell: str) -> None:
    stack, *given = example(SHAPES[shape], torch.float64, dropout=0.4, cell=PLAIN[cell])
    x, state, masks = given[0], given[1], given[2]
    found = run_with(WAYS[way], stack, (x, state, masks))
    assert_close(found, reference(stack, x, state, masks), bound(stack.spec, x))


def custom(
    cell: Cell, shape: Shape, *, inside: bool, dtype: torch.dtype
) -> tuple[RecurrentStack, tuple[Tensor, StackState, Masks]]:
    """As `example`, for any cell; the masks inside the steps are of every kind."""
    torch.manual_seed(4)
    stack = RecurrentStack(cell, shape.inputs, shape.widths, regularised=("every",) if inside else ()).to(dtype)
    for name, parameter in stack.named_parameters():
        if name.startswith("gain"):  # with gains of 1 every step enlarges what the last one rounded
            torch.nn.init.constant_(parameter, 0.3)
    steps, batch = shape.steps, shape.batch
    x = torch.randn(steps, batch, shape.inputs).to(dtype)
    state = state_of(cell, shape, dtype)

    def mask(width: int, value: float) -> Tensor:
        return ((torch.rand(steps, batch, width) > 0.4) * value).to(dtype)

    between = tuple(mask(width, 1 / 0.6) for width in shape.widths[:-1])
    scale = {"candidate": 1 / 0.6}
    each = tuple(
        StepMasks(**{name: mask(width, scale.get(name, 1.0)) for name in cell.masks}) for width in shape.widths
    )
    return stack, (x, state, Masks(between, each if inside else ()))


def in_float64(stack: RecurrentStack, given: tuple[Tensor, StackState, Masks]) -> Results:
    """By the reference, with the same numbers."""
    x, state, masks = given
    exact = RecurrentStack(stack.spec.cell, stack.spec.input_size, stack.spec.hidden_sizes).double()
    exact.load_state_dict({name: tensor.double() for name, tensor in stack.state_dict().items()})
    inside = tuple(StepMasks(*(None if m is None else m.double() for m in layer)) for layer in masks.inside)
    wide = Masks(tuple(mask.double() for mask in masks.between), inside)
    start = tuple(tuple(tensor.double() for tensor in layer) for layer in state)
    return run_with(Stepwise, exact, (x.double(), start, wide))


SOME_SHAPES = ("one of everything", "one step", "one layer", "no multiple of a chunk", "unequal widths")


@pytest.mark.parametrize("inside", [False, True], ids=["plain steps", "masks inside"])
@pytest.mark.parametrize("shape", smallest(SOME_SHAPES, "no multiple of a chunk"))
@pytest.mark.parametrize("precision", smallest(PRECISIONS, "32-true", "bf16-mixed"))
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_in_every_precision(cell: str, precision: str, shape: str, inside: bool) -> None:
    how = PRECISIONS[precision]
    stack, given = custom(CELLS[cell], SHAPES[shape], inside=inside, dtype=how.parameters)
    expected, allowed = in_float64(stack, given), bound(stack.spec, given[0], how.products)
    ways = able_ways(stack.spec)
    assert "stepwise" in ways
    for way in ways:
        assert_close(run_with(WAYS[way], stack, given, how.autocast), expected, allowed)


@pytest.mark.parametrize("way", WAYS)
def test_without_gradients_it_is_the_same(way: str) -> None:
    stack, x, state, masks = example(SHAPES["no multiple of a chunk"], torch.float64, dropout=0.0)
    stack.use(WAYS[way]())
    expected, after = stack(x, state, masks)
    with torch.no_grad():
        found, ended = stack(x, state, masks)
    stack.strategy.close()
    assert not found.requires_grad
    assert_close(values(found, ended), values(expected, after), bound(stack.spec, x))


@pytest.mark.parametrize("way", WAYS)
def test_a_window_in_two_parts_is_the_window(way: str) -> None:
    """The state that one window ends with is what the next one needs, in the midst of a chunk or not."""
    stack, x, state, _ = example(SHAPES["no multiple of a chunk"], torch.float64, dropout=0.0)
    stack.use(WAYS[way]())
    expected, after = stack(x, state)
    first, between = stack(x[:5], state)
    second, ended = stack(x[5:], between)
    stack.strategy.close()
    assert_close(values(torch.cat([first, second]), ended), values(expected, after), bound(stack.spec, x))


@pytest.mark.parametrize("way", WAYS)
def test_no_steps_are_refused(way: str) -> None:
    stack, x, state, masks = example(SHAPES["one step"], torch.float32, dropout=0.0)
    stack.use(WAYS[way]())
    with pytest.raises(ValueError, match="at least one step"):
        stack(x[:0], state, masks)
