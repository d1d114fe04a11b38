"""Every strategy computes every cell, with and without masks, as the stepwise reference does; the reference's gradients
are the derivatives."""

import itertools

import pytest
import torch
from rounding import assert_close, bound
from test_parity import Shape, run, state_of
from tiers import first
from torch import Tensor

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell, StepMasks
from lstm_lm.cells.lstm import LSTM, lstm_cell
from lstm_lm.cells.rnn import RNN, rnn_cell
from lstm_lm.forward.interface import Masks, StackSpec, StackState, Strategy
from lstm_lm.forward.strategies.stepwise import Stepwise
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.registry import find, names

REFERENCE = "stepwise"
OTHERS = [name for name in names("lstm_lm.forward.strategies") if name != REFERENCE]
CELLS = {
    "plain": LSTM,
    "relu": lstm_cell("relu"),
    "leaky relu": lstm_cell("leaky_relu"),
    "hard sigmoid": lstm_cell(gate_activation="hard_sigmoid"),
    "layer norm": lstm_cell(norm=True),
    "all": lstm_cell("leaky_relu", "hard_sigmoid", norm=True),
    "gru": GRU,
    "rnn": RNN,
    "rnn relu": rnn_cell("relu"),
}
STEPS, BATCH, INPUTS = 7, 3, 5
INSIDE = ("none", "candidate", "hidden", "cell", "every", "expectation")
"""Which masks act inside the steps; `expectation` is zoneout as it is in evaluation."""


def stack_of(cell: Cell, widths: tuple[int, ...], inside: str = "none") -> RecurrentStack:
    torch.manual_seed(1)
    regularised = () if inside == "none" else (inside,)
    stack = RecurrentStack(cell, INPUTS, widths, regularised=regularised).double()
    for parameter in stack.parameters():  # gains and biases too have something to say
        torch.nn.init.normal_(parameter, std=0.5)
    return stack


def example(
    widths: tuple[int, ...], inside: str, *, between: bool, locked: bool, cell: Cell = LSTM
) -> tuple[Tensor, StackState, Masks]:
    torch.manual_seed(2)
    x = torch.randn(STEPS, BATCH, INPUTS).double()
    state = state_of(cell, Shape(STEPS, BATCH, INPUTS, widths), torch.float64)
    steps = 1 if locked else STEPS

    def mask(width: int, value: float = 1.0) -> Tensor:
        return (torch.rand(steps, BATCH, width) > 0.4).double() * value

    def inside_of(width: int) -> StepMasks:
        if inside == "expectation":
            shares = {"hidden": 0.2, "cell": 0.3}
            return StepMasks(
                **{name: torch.full((1, 1, width), p).double() for name, p in shares.items() if name in cell.masks}
            )
        wanted = cell.masks if inside == "every" else (inside,)
        return StepMasks(**{name: mask(width, 1 / 0.6 if name == "candidate" else 1.0) for name in wanted})

    layers = tuple(mask(width, 1 / 0.6) for width in widths[:-1]) if between else ()
    return x, state, Masks(layers, tuple(map(inside_of, widths)) if inside != "none" else ())


def able(name: str, widths: tuple[int, ...], cell: Cell, inside: str) -> bool:
    spec = StackSpec(cell, INPUTS, widths, True, () if inside == "none" else (inside,))
    strategy: Strategy = find("lstm_lm.forward.strategies", name, "forward").STRATEGY()
    return strategy.supports(spec, torch.device("cpu"), torch.float64) is None


def applies(cell: Cell, inside: str) -> bool:
    """Whether the cell has a place for such masks."""
    return inside not in StepMasks._fields or inside in cell.masks


def marks_of(widths: tuple[int, ...], kind: str, inside: str) -> tuple[pytest.MarkDecorator, ...]:
    """In the default run: every cell without masks inside and with all of them, and every mask with one cell."""
    small = len(set(widths)) == 1 and (inside in ("none", "every") or kind == "plain")
    return () if small else (pytest.mark.matrix,)


CASES = [
    pytest.param(
        *(name, widths, cell, inside), id=f"{name}-{widths}-{kind}-{inside}", marks=marks_of(widths, kind, inside)
    )
    for name, widths, (kind, cell), inside in itertools.product(OTHERS, ((4, 4, 4), (6, 4, 2)), CELLS.items(), INSIDE)
    if able(name, widths, cell, inside) and applies(cell, inside)
]


@pytest.mark.parametrize("locked", first([False, True]), ids=["a mask a step", "a mask a window"])
@pytest.mark.parametrize(("name", "widths", "cell", "inside"), CASES)
def test_strategy_agrees_with_the_reference(
    name: str, widths: tuple[int, ...], cell: Cell, inside: str, locked: bool
) -> None:
    stack = stack_of(cell, widths, inside)
    x, state, masks = example(widths, inside, between=True, locked=locked, cell=cell)
    stack.strategy = Stepwise()
    expected = run(stack, x, state, masks)
    stack.strategy = find("lstm_lm.forward.strategies", name, "forward").STRATEGY()
    try:
        assert_close(run(stack, x, state, masks), expected, bound(stack.spec, x))
    finally:
        stack.strategy.close()


@pytest.mark.parametrize(
    ("cell", "inside"),
    [
        pytest.param(cell, inside, id=f"{name}-{inside}", marks=() if inside == "every" else pytest.mark.matrix)
        for (name, cell), inside in itertools.product(CELLS.items(), INSIDE)
        if applies(cell, inside)
    ],
)
def test_reference_gradients_are_the_derivatives(cell: Cell, inside: str) -> None:
    """Of input, initial state and every parameter, gains and biases included."""
    torch.manual_seed(3)
    stack = stack_of(cell, (3, 2), inside)
    stack.strategy = Stepwise()
    x, state, masks = example((3, 2), inside, between=True, locked=False, cell=cell)
    parameters = dict(stack.named_parameters())

    def function(*inputs: Tensor) -> tuple[Tensor, ...]:
        x, *rest = inputs
        count = cell.state_tensors
        given = (tuple(rest[:count]), tuple(rest[count : 2 * count]))
        called = dict(zip(parameters, rest[2 * count :], strict=True))
        y, after = torch.func.functional_call(stack, called, (x, given, masks))
        return y, *itertools.chain(*after)

    inputs = [x[:3, :2], *(tensor[:2] for layer in state for tensor in layer), *parameters.values()]
    between = tuple(mask[:3, :2] for mask in masks.between)
    masks = Masks(between, tuple(StepMasks(*map(cut, inside_masks)) for inside_masks in masks.inside))
    assert torch.autograd.gradcheck(function, [tensor.detach().clone().requires_grad_() for tensor in inputs])


def cut(mask: Tensor | None) -> Tensor | None:
    """To 3 steps and 2 streams."""
    return None if mask is None else mask[:3, :2]


def test_every_kind_of_mask_takes_effect() -> None:
    stack = stack_of(LSTM, (4, 4), "every")
    outputs = []
    for inside in INSIDE:
        x, state, masks = example((4, 4), inside, between=False, locked=False)
        outputs.append(stack(x, state, masks)[0])
    for one, other in itertools.combinations(outputs, 2):
        assert not torch.allclose(one, other)


def test_the_vendors_kernel_never_passes_over_masks_inside_a_step() -> None:
    stack = stack_of(LSTM, (4, 4))
    x, state, masks = example((4, 4), "hidden", between=False, locked=False)
    with pytest.raises(ValueError, match="inside a step"):
        stack(x, state, masks)
