"""Strategies whose steps torch.compile has made into graphs: the same numbers, and no graph for each other window."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from rounding import Results, assert_close, bound
from test_odd_shapes import custom, in_float64
from test_parity import Shape, run, values
from test_variants import CELLS

from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward import diagonals
from lstm_lm.forward.strategies.stepwise import Stepwise
from lstm_lm.forward.strategies.wavefront import Wavefront
from lstm_lm.training.compile.compilation import counts, reset

MATRIX = pytest.mark.matrix


@pytest.fixture(autouse=True)
def small_graphs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Of 3 diagonals: quick to compile; by default without machine code. Nothing of them is left."""
    monkeypatch.setattr(diagonals, "CHUNK", 3)
    if not request.node.get_closest_marker("matrix"):
        captured = partial(torch.compile, diagonals.joined, backend="aot_eager", fullgraph=True, dynamic=False)
        monkeypatch.setattr(diagonals, "compiled", lambda mode: captured())
    reset()
    yield
    reset()


@pytest.mark.parametrize(
    ("strategy", "cell", "inside"),
    [
        pytest.param(Wavefront, LSTM, False, id="wavefront, captured"),
        pytest.param(Wavefront, LSTM, False, id="wavefront", marks=MATRIX),
        pytest.param(Stepwise, LSTM, False, id="stepwise", marks=MATRIX),
        pytest.param(Wavefront, CELLS["gru"], True, id="wavefront, a state of one tensor", marks=MATRIX),
        pytest.param(Wavefront, CELLS["all"], True, id="wavefront, every variant and every mask", marks=MATRIX),
    ],
)
def test_compiled_is_eager_for_windows_of_any_length(
    strategy: type[Stepwise] | type[Wavefront], cell: Cell, inside: bool
) -> None:
    """The first window compiles one graph for each pass; shorter and longer ones none."""
    for number, steps in enumerate((8, 5, 2, 13)):
        stack, given = custom(cell, Shape(steps, 3, 4, (4, 4)), inside=inside, dtype=torch.float32)
        stack.strategy = strategy()
        expected = run(stack, *given)
        if not number:
            compiled, exact = strategy(), in_float64(stack, given)
            assert compiled.compile("default")
        stack.strategy = compiled
        with torch._dynamo.config.patch(error_on_recompile=number > 0):
            found = run(stack, *given)
        assert_close(found, expected, bound(stack.spec, given[0], reference=torch.float32))
        if not number:
            assert_close(found, exact, bound(stack.spec, given[0]))
        assert counts() == (1, 0)


def test_scoring_and_sampling_with_a_compiled_strategy() -> None:
    """Without gradients there is one more graph; a single step runs eagerly."""
    stack, (x, state, _) = custom(LSTM, Shape(8, 2, 4, (4, 4)), inside=False, dtype=torch.float32)
    expected, after = stack(x, state)
    allowed = bound(stack.spec, x, reference=torch.float32)
    stack.strategy = Wavefront()
    assert stack.compile_strategy("default")
    stack(x, state)[0].sum().backward()
    assert counts() == (1, 0), "one graph, though the first part of a window has a state without gradient"
    with torch.no_grad():
        for steps in (8, 7):
            y, ended = stack(x[:steps], state)
            assert_close(Results((y,)), Results((expected[:steps],)), allowed)
            if steps == 8:
                assert_close(values(y, ended), values(expected, after), allowed)
        assert counts() == (2, 0)
        y, _ = stack(x[:1], state)
    assert_close(Results((y,)), Results((expected[:1],)), allowed)
    assert counts() == (2, 0)
