"""What `rounding.py` derives is so, and a wrong program exceeds its bound in every type.

A mutation is computed in float64, by the reference: its error is its own, and no rounding's.
"""

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from rounding import FORWARD, ROUNDING, UNIT_ROUNDOFF, Results, bound, excess, has_kinks
from test_odd_shapes import SHAPES as ODD
from test_odd_shapes import custom, in_float64
from test_parity import PLAIN, Shape, example, run
from test_variants import CELLS
from tiers import first, smallest
from torch import Tensor

from lstm_lm.forward.interface import LayerWeights, Masks, Stack, StackSpec, StackState
from lstm_lm.forward.strategies.stepwise import Stepwise
from lstm_lm.models.recurrent_stack import RecurrentStack

TYPES = {str(dtype): dtype for dtype in UNIT_ROUNDOFF}
WIDE = {str(dtype): dtype for dtype in (torch.float32, torch.float64)}
CLEARLY = 2
"""How many times the bound a wrong program exceeds. Rounding itself stays below half of the bound."""
SHORT = [Shape(7, 3, 5, (4, 4, 4)), Shape(6, 2, 3, (8, 5, 2))]
SHAPES = [*SHORT, Shape(13, 3, 5, (24, 24, 24)), Shape(12, 2, 3, (24, 24))]


# The derivation


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_a_rounding_is_as_large_as_derived(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    exact = torch.exp2(3 * torch.rand(100_000, dtype=torch.float64))
    error = (exact.to(dtype).double() - exact) / exact
    assert error.square().mean().sqrt().item() == pytest.approx(ROUNDING * UNIT_ROUNDOFF[dtype], rel=0.02)
    assert error.abs().max() <= UNIT_ROUNDOFF[dtype]


@pytest.mark.parametrize("length", [8, 32, 128])
def test_an_inner_products_error_is_that_of_half_as_many_roundings(length: int) -> None:
    """Of the sums, one after the other; the products here are exact."""
    torch.manual_seed(0)
    terms = torch.randn(20_000, length)
    total = torch.zeros(len(terms))
    for term in terms.unbind(1):
        total = total + term
    exact = terms.double().sum(1)
    found = (total.double() - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    derived = ROUNDING * UNIT_ROUNDOFF[torch.float32] * math.sqrt(length / 2)
    assert 0.5 * derived < found < 1.2 * derived, "a short sum may be exact"


@pytest.mark.parametrize(("steps", "layers"), [(1, 3), (3, 1), (7, 3), (80, 3), (500, 3), (5, 5), (2, 8)])
def test_errors_are_carried_no_further_than_derived(steps: int, layers: int) -> None:
    carried = [0.0] * layers
    for _ in range(steps):
        below = 0.0
        for layer in range(layers):
            below = carried[layer] = 1 + below / 2 + carried[layer] / 2
    assert carried[-1] <= min(steps + layers - 1, 2 * layers)


def test_the_share_that_a_rounding_moves_across_a_kink() -> None:
    torch.manual_seed(0)
    values, error = torch.randn(1_000_000), 0.05
    moved = (values + error * torch.randn_like(values)).sign() != values.sign()
    assert moved.double().mean().item() == pytest.approx(error / math.pi, rel=0.02)


def test_a_bound_is_a_few_roundings_and_grows_with_what_it_should() -> None:
    def values(shape: Shape, dtype: torch.dtype = torch.bfloat16) -> float:
        spec = StackSpec(PLAIN["lstm"], shape.inputs, shape.widths)
        return bound(spec, torch.empty(shape.steps, shape.batch), dtype).values / UNIT_ROUNDOFF[dtype]

    one = Shape(1, 1, 1, (8,))
    assert values(one) == pytest.approx(3 * ROUNDING * math.sqrt(FORWARD), rel=1e-3)
    assert values(one) < values(Shape(9, 1, 1, (8,))) == values(Shape(90, 1, 1, (8,)))
    assert values(one) < values(Shape(1, 1, 1, (8, 8)))
    assert values(one, torch.float32) < values(Shape(1, 1, 1, (800,)), torch.float32)


# What it catches


class InParts(Stepwise):
    """The reference up to a step in the middle, that step, and the rest; a subclass has something wrong there."""

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        middle = x.shape[0] // 2
        outputs = []
        for begin, end in ((0, middle), (middle, middle + 1), (middle + 1, x.shape[0])):
            alone = begin == middle
            between = Masks(tuple(mask[begin:end] for mask in masks.between))
            y, state = super().run(self.during(stack) if alone else stack, x[begin:end], state, between)
            state = self.after(state) if alone else state
            outputs.append(y)
        return torch.cat(outputs), state

    def during(self, stack: Stack) -> Stack:
        return stack

    def after(self, state: StackState) -> StackState:
        return state


class StateNotCarried(InParts):
    def after(self, state: StackState) -> StackState:
        return tuple(tuple(torch.zeros_like(tensor) for tensor in layer) for layer in state)


class StateOfOneLayerNotCarried(InParts):
    def after(self, state: StackState) -> StackState:
        return (*state[:-1], tuple(torch.zeros_like(tensor) for tensor in state[-1]))


class HiddenStateOfTheWrongLayer(InParts):
    def after(self, state: StackState) -> StackState:
        (h, *rest), above, *others = state
        width = min(h.shape[-1], above[0].shape[-1])
        return ((torch.cat([above[0][:, :width], h[:, width:]], -1), *rest), above, *others)


class GradientEndsAtAStep(InParts):
    def after(self, state: StackState) -> StackState:
        return tuple(tuple(tensor.detach() for tensor in layer) for layer in state)


class GradientLacksAStep(InParts):
    def during(self, stack: Stack) -> Stack:
        return Constant(stack)  # type: ignore[return-value]


ONLY_GRADIENTS = (GradientEndsAtAStep, GradientLacksAStep)


class Constant:
    """A stack whose weights get no gradient."""

    def __init__(self, stack: Stack) -> None:
        self.spec = stack.spec
        self._stack = stack

    def layers(self) -> Iterator[LayerWeights]:
        return (LayerWeights(*(tensor.detach() for tensor in weights)) for weights in self._stack.layers())

    def extras(self) -> Iterator[tuple[Tensor, ...]]:
        return self._stack.extras()


Given = tuple[Tensor, StackState, Masks]


def remembering(shape: Shape, cell: str) -> tuple[RecurrentStack, Given]:
    """As `example` in float64, by the reference; the forget gates of an LSTM have a bias."""
    stack, *given = example(shape, torch.float64, dropout=0.4, cell=PLAIN[cell])
    if cell == "lstm":
        for weights, width in zip(stack.layer_parameters(), shape.widths, strict=True):
            torch.nn.init.ones_(weights.bias_ih.data[width : 2 * width])
    stack.strategy = Stepwise()
    return stack, (given[0], given[1], given[2])


def assert_caught(
    wrong: Results, right: Results, spec: StackSpec, x: Tensor, types: dict[str, torch.dtype] = TYPES
) -> None:
    times = {name: excess(wrong, right, bound(spec, x, dtype)) for name, dtype in types.items()}
    assert min(times.values()) > CLEARLY, times


@pytest.mark.parametrize(
    ("wrong", "shape"),
    [
        pytest.param(wrong, shape, marks=() if shape == SHORT[0] else pytest.mark.matrix)
        for wrong, shape in (
            *itertools.product(
                [StateNotCarried, StateOfOneLayerNotCarried, HiddenStateOfTheWrongLayer, GradientEndsAtAStep], SHAPES
            ),
            *itertools.product([GradientLacksAStep], SHORT),  # of many steps one weighs no more than 8 bits tell apart
        )
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value),
)
@pytest.mark.parametrize("cell", PLAIN)
def test_a_step_that_hands_on_something_wrong(cell: str, wrong: type[InParts], shape: Shape) -> None:
    stack, (x, state, masks) = remembering(shape, cell)
    right = run(stack, x, state, masks)
    stack.strategy = InParts()
    assert excess(run(stack, x, state, masks), right, bound(stack.spec, x)) < 0.5, "in parts it is the same window"
    stack.strategy = wrong()
    kinks = wrong in ONLY_GRADIENTS and has_kinks(stack.spec)  # 16 bits turn a part of a gradient around by themselves
    assert_caught(run(stack, x, state, masks), right, stack.spec, x, WIDE if kinks else TYPES)


@pytest.mark.parametrize("shape", first(SHAPES), ids=str)
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_two_gates_of_one_layer_in_each_others_place(cell: str, shape: Shape) -> None:
    stack, (x, state, masks) = remembering(shape, cell)
    right = run(stack, x, state, masks)
    before = {name: tensor.clone() for name, tensor in stack.state_dict().items()}
    gates = range(stack.spec.cell.gates)
    for layer, (one, other) in itertools.product(range(stack.spec.num_layers), itertools.combinations(gates, 2)):
        order = [other if gate == one else one if gate == other else gate for gate in gates]
        swapped = {
            name: torch.cat([tensor.chunk(len(gates))[gate] for gate in order])
            for name, tensor in before.items()
            if name.endswith(f"_l{layer}")
        }
        stack.load_state_dict(before | swapped)
        assert_caught(run(stack, x, state, masks), right, stack.spec, x)


@pytest.mark.parametrize("shape", first(SHAPES), ids=str)
def test_a_forget_gates_bias_of_the_wrong_sign(shape: Shape) -> None:
    stack, (x, state, masks) = remembering(shape, "lstm")
    right = run(stack, x, state, masks)
    for weights in stack.layer_parameters():
        weights.bias_ih.data.neg_()  # the other gates' are zero
        assert_caught(run(stack, x, state, masks), right, stack.spec, x)
        weights.bias_ih.data.neg_()


@pytest.mark.parametrize("shape", first(SHAPES), ids=str)
@pytest.mark.parametrize("cell", PLAIN)
def test_a_mask_of_the_step_before(cell: str, shape: Shape) -> None:
    stack, (x, state, masks) = remembering(shape, cell)
    right = run(stack, x, state, masks)
    for layer, mask in enumerate(masks.between):
        shifted = Masks((*masks.between[:layer], mask.roll(1, 0), *masks.between[layer + 1 :]))
        assert_caught(run(stack, x, state, shifted), right, stack.spec, x)


def assert_no_tensor_may_be_zero(right: Results, spec: StackSpec, x: Tensor) -> None:
    """None of several numbers; one number may have cancelled."""
    for kind, tensors in right._asdict().items():
        for place, tensor in enumerate(tensors):
            assert tensor.any()
            if tensor.numel() == 1:
                continue
            without = (*tensors[:place], torch.zeros_like(tensor), *tensors[place + 1 :])
            wrong = right._replace(**{kind: without})
            times = {name: excess(wrong, right, bound(spec, x, dtype)) for name, dtype in TYPES.items()}
            assert min(times.values()) > 1, (kind, place, times)


@pytest.mark.parametrize("shape", first([*SHAPES, Shape(5, 2, 3, (4, 4, 4, 4, 4))]), ids=str)
@pytest.mark.parametrize("cell", PLAIN)
def test_one_tensor_of_zeros(cell: str, shape: Shape) -> None:
    """Of all results and gradients, however small beside the others."""
    stack, (x, state, masks) = remembering(shape, cell)
    assert_no_tensor_may_be_zero(run(stack, x, state, masks), stack.spec, x)


@pytest.mark.parametrize("inside", first([True, False]), ids=["masks inside", "plain steps"])
@pytest.mark.parametrize("shape", smallest(ODD, "unequal widths"))
@pytest.mark.parametrize("cell", smallest(CELLS, "plain", "all", "rnn relu"))
def test_one_tensor_of_zeros_of_any_cell(cell: str, shape: str, inside: bool) -> None:
    stack, given = custom(CELLS[cell], ODD[shape], inside=inside, dtype=torch.float64)
    assert_no_tensor_may_be_zero(in_float64(stack, given), stack.spec, given[0])
