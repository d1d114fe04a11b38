"""The grid of (layer, chunk) cells: cut, order, threads, devices, failures."""

import itertools
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rounding import Results, assert_close, bound
from test_parity import Shape, example, reference, run
from tiers import first, smallest

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import RNN
from lstm_lm.errors import UserError
from lstm_lm.forward.grid import kernels, schedule, window
from lstm_lm.forward.grid.placement import balanced
from lstm_lm.forward.grid.threads import NAME, Workers
from lstm_lm.forward.interface import StackSpec
from lstm_lm.forward.strategies.fused import Fused
from lstm_lm.forward.strategies.pipelined import Pipelined
from lstm_lm.models.recurrent_stack import RecurrentStack

SHAPE = Shape(13, 3, 5, (4, 4, 4))


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(NAME)]


@pytest.fixture
def pipelined() -> Iterator[Pipelined]:
    strategy = Pipelined(chunk=4, workers=3)
    yield strategy
    strategy.close()


# How a window is cut


@given(st.integers(1, 300), st.integers(1, 12), st.integers(1, 9), st.floats(0, 200))
def test_a_chunking_covers_the_window_and_never_loses_to_one_chunk(
    steps: int, layers: int, count: int, extra: float
) -> None:
    chunking = schedule.best_chunking(steps, layers, count, extra)
    assert sum(chunking.lengths) == steps
    assert min(chunking.lengths) >= 1
    alone = layers * (steps + extra)
    taken = schedule.makespan(chunking, layers, count, extra)
    assert taken <= alone + 1e-6
    assert taken >= alone / count - layers * extra - 1e-6  # no more than `count` at once; sums are rounded


def test_calls_that_cost_nothing_are_cut_finely_and_dear_ones_not_at_all() -> None:
    assert len(schedule.best_chunking(64, 8, 8, 0.0).lengths) > len(schedule.best_chunking(64, 8, 8, 20.0).lengths)
    assert schedule.best_chunking(64, 8, 8, 10_000.0).lengths == (64,)
    assert schedule.best_chunking(64, 8, 1, 5.0).lengths == (64,)


def test_a_chunk_that_is_asked_for_is_taken() -> None:
    assert schedule.equal_chunks(10, 4).lengths == (4, 4, 2)
    assert schedule.equal_chunks(8, 4).lengths == (4, 4)
    assert schedule.equal_chunks(3, 4).lengths == (3,)


# Order


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_cells_run_once_each_and_after_those_they_need(count: int, backward: bool) -> None:
    layers, chunks = 4, 5
    ended: set[tuple[int, int]] = set()
    late: list[tuple[int, int]] = []

    def cell(layer: int, chunk: int) -> None:
        step = 1 if backward else -1
        for needed in ((layer + step, chunk), (layer, chunk + step)):
            if 0 <= needed[0] < layers and 0 <= needed[1] < chunks and needed not in ended:
                late.append(needed)
        assert (layer, chunk) not in ended
        ended.add((layer, chunk))

    pool = Workers(count)
    pool.run(schedule.equal_chunks(chunks, 1), layers, cell, backward=backward)
    pool.close()
    assert not late
    assert len(ended) == layers * chunks


def test_a_layer_stays_on_its_place() -> None:
    seen: dict[int, set[str]] = {layer: set() for layer in range(4)}
    pool = Workers(2, (range(3), range(3, 4)))
    for backward in (False, True):
        pool.run(
            schedule.equal_chunks(6, 1),
            4,
            lambda layer, chunk: seen[layer].add(threading.current_thread().name),
            backward=backward,
        )
    pool.close()
    assert all(len(names) == 1 for names in seen.values())
    assert seen[0] == seen[2] != seen[3]


# Results


@pytest.mark.parametrize("chunk", smallest([1, 4, 5, 13, 20, None], 13, None))
@pytest.mark.parametrize("dropout", first([0.4, 0.0]))
@pytest.mark.parametrize(
    ("cell", "dtype"),
    [(LSTM, torch.float64), (LSTM, torch.float32), (LSTM, torch.bfloat16), (GRU, torch.float32), (RNN, torch.float64)],
    ids=lambda value: value.name if isinstance(value, Cell) else str(value),
)
def test_any_cut_gives_the_same(chunk: int | None, cell: Cell, dtype: torch.dtype, dropout: float) -> None:
    """An LSTM in float32 and bfloat16 by oneDNN called directly, where there is one; all else by torch's functions."""
    stack, x, state, masks = example(Shape(80, 3, 5, (4, 4, 4)), dtype, dropout=dropout, cell=cell)
    stack.use(Pipelined(chunk=chunk, workers=2))
    found = run(stack, x, state, masks)
    stack.strategy.close()
    assert_close(found, reference(stack, x, state, masks), bound(stack.spec, x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_direct_kernel_and_autograds_agree(dtype: torch.dtype) -> None:
    """oneDNN called directly, with packed weights, against torch.lstm."""
    if not kernels.OneDNN.takes("lstm", torch.device("cpu"), dtype):
        pytest.skip("this PyTorch or CPU has no such oneDNN kernel")
    torch.manual_seed(0)
    stack = RecurrentStack(LSTM, 6, [8]).to(dtype)
    weights = next(stack.layers())
    x, h, c = torch.randn(5, 3, 6, dtype=dtype), torch.randn(1, 3, 8, dtype=dtype), torch.randn(1, 3, 8, dtype=dtype)
    found = []
    for kernel in (
        kernels.OneDNN(weights, training=True, chunks=1),
        kernels.OneDNN(weights, training=True, chunks=9),
        kernels.AnyVendor(weights, cell="lstm", training=True),
    ):
        ended = kernel.forward(x, (h, c))
        gradients = kernel.backward(ended, ended.y, (None, ended.state[1]))
        found.append(Results((ended.y, *ended.state), (gradients.x, *gradients.state), tuple(gradients.weights)))
    for other in found[:2]:
        assert_close(other, found[2], bound(stack.spec, x, reference=dtype))


def test_only_what_was_asked_for_gets_a_gradient() -> None:
    stack, x, state, masks = example(SHAPE, torch.float32, dropout=0.0)
    stack.use(Pipelined(chunk=4, workers=2))
    stack.weight_ih_l1.requires_grad_(False)
    _, after = stack(x, state, masks)
    after[0][0].sum().backward()  # nothing of the upper layers took part
    assert stack.weight_ih_l1.grad is None
    assert stack.weight_hh_l0.grad is not None
    assert stack.weight_hh_l0.grad.abs().sum() > 0
    assert stack.weight_hh_l2.grad is None or stack.weight_hh_l2.grad.abs().sum() == 0
    stack.strategy.close()


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_without_gradients_nothing_is_kept_and_modes_reach_the_workers(mode: type, pipelined: Pipelined) -> None:
    stack, x, state, masks = example(Shape(80, 3, 5, (4, 4, 4)), torch.float32, dropout=0.0)
    with mode():
        expected, _ = stack(x, state, masks)
        stack.use(pipelined)
        y, after = stack(x, state, masks)
        for tensor in (y, after[0][0]):
            assert not tensor.requires_grad
    torch.testing.assert_close(y, expected)


# Threads


def test_threads_start_with_the_first_window_and_end_with_close(pipelined: Pipelined) -> None:
    before = workers()
    stack, x, state, masks = example(SHAPE, torch.float32, dropout=0.0)
    stack.use(pipelined)
    assert workers() == before
    stack(x, state, masks)[0].sum().backward()
    assert len(workers()) == len(before) + 2  # the caller is the third
    pipelined.close()
    assert workers() == before
    stack(x, state, masks)  # and they start again
    pipelined.close()
    assert workers() == before


def test_the_callers_number_of_threads_stays(pipelined: Pipelined) -> None:
    before = torch.get_num_threads()
    asked = before + 1
    torch.set_num_threads(asked)
    try:
        stack, x, state, masks = example(SHAPE, torch.float32, dropout=0.0)
        stack.use(pipelined)
        stack(x, state, masks)[0].sum().backward()
        assert torch.get_num_threads() == asked
        seen: list[int] = []
        thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
        thread.start()
        thread.join()
        assert seen == [asked]  # nor do later threads begin with the workers' one
    finally:
        torch.set_num_threads(before)


def test_workers_have_one_thread_each() -> None:
    seen: list[int] = []
    pool = Workers(3)
    pool.run(schedule.equal_chunks(6, 1), 3, lambda layer, chunk: seen.append(torch.get_num_threads()))
    pool.close()
    assert set(seen) == {1}


class Planted(Exception):
    pass


@pytest.mark.parametrize("which", ["forward", "backward"])
@pytest.mark.parametrize("at", [(0, 0), (1, 2), (2, 3)])
def test_a_failure_in_a_worker_is_the_callers(
    which: str, at: tuple[int, int], pipelined: Pipelined, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, x, state, masks = example(SHAPE, torch.float32, dropout=0.0)
    stack.use(pipelined)
    cell = getattr(window._Grid, which)

    def failing(self: window._Grid, layer: int, chunk: int) -> None:
        if (layer, chunk) == at:
            raise Planted(f"in {threading.current_thread().name}")
        cell(self, layer, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(window._Grid, which, failing)
        with pytest.raises(Planted):
            stack(x, state, masks)[0].sum().backward()
    stack(x, state, masks)[0].sum().backward()  # and the next window runs


def test_a_failure_only_other_threads_meet_reaches_the_caller() -> None:
    caller = threading.current_thread()

    def cell(layer: int, chunk: int) -> None:
        if threading.current_thread() is not caller:
            raise Planted

    pool = Workers(2, (range(1), range(1, 2)))
    with pytest.raises(Planted):
        pool.run(schedule.equal_chunks(4, 1), 2, cell)
    pool.close()


def test_an_interruption_ends_the_workers_work() -> None:
    done: list[tuple[int, int]] = []

    def cell(layer: int, chunk: int) -> None:
        if layer == 0 and chunk == 2:
            raise KeyboardInterrupt
        done.append((layer, chunk))

    pool = Workers(2)
    with pytest.raises(KeyboardInterrupt):
        pool.run(schedule.equal_chunks(50, 1), 4, cell)
    pool.close()
    assert len(done) < 200


# Layers on several devices


def test_layers_on_two_devices_give_the_same() -> None:
    """Both are the CPU: this shows the schedule; tests/forward/test_cuda.py has two devices that differ."""
    stack, x, state, masks = example(SHAPE, torch.float64, dropout=0.4)
    expected = run(stack, x, state, masks)
    stack.use(Pipelined(chunk=4, devices=["cpu", "cpu"]))
    assert_close(run(stack, x, state, masks), expected, bound(stack.spec, x))
    stack.strategy.close()


def test_layers_are_placed_again_whenever_the_whole_is_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning moves the module to its root device after the strategy was chosen."""
    asked: list[torch.device] = []
    strategy = Pipelined(devices=["cpu", "cpu"])

    def place(spec: StackSpec, root: torch.device) -> tuple[torch.device, ...]:
        asked.append(root)
        return (root,) * spec.num_layers

    monkeypatch.setattr(strategy, "place", place)
    stack = RecurrentStack(LSTM, 4, [4, 4])
    stack.use(strategy)
    torch.nn.ModuleList([stack]).to(torch.device("cpu"))
    assert asked == [torch.device("cpu")] * 2


@given(st.lists(st.integers(1, 64), min_size=1, max_size=9), st.integers(1, 9))
@settings(deadline=None)
def test_placement_is_in_order_and_its_dearest_device_as_cheap_as_can_be(widths: list[int], count: int) -> None:
    spec = StackSpec(LSTM, 8, tuple(widths))
    if count > len(widths):
        with pytest.raises(UserError, match="at most one device a layer"):
            balanced(spec, count)
        return
    runs = balanced(spec, count)
    assert [layer for run in runs for layer in run] == list(range(len(widths)))
    assert all(len(run) for run in runs)
    costs = [width * (inputs + width) for inputs, width in zip(spec.input_sizes, widths, strict=True)]

    def dearest(cuts: tuple[int, ...]) -> int:
        return max(sum(costs[a:b]) for a, b in pairwise((0, *cuts, len(costs))))

    best = min(dearest(cuts) for cuts in itertools.combinations(range(1, len(costs)), count - 1))
    assert max(sum(costs[layer] for layer in run) for run in runs) == best


@pytest.mark.parametrize(
    ("devices", "message"),
    [(["cpu", "tpu"], "no device"), (["mps"], "cpu and cuda"), (["cpu", "cuda:99"], "no CUDA device|this machine has")],
)
def test_a_device_that_is_not_there_is_refused(devices: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Pipelined(devices=devices)


def test_what_it_cannot_run() -> None:
    cpu = torch.device("cpu")
    assert "mps" in str(Pipelined().supports(StackSpec(LSTM, 4, (4, 4)), torch.device("mps"), torch.float32))
    too_many = Pipelined(devices=["cpu"] * 3)
    assert "3 devices for 2 layers" in str(too_many.supports(StackSpec(LSTM, 4, (4, 4)), cpu, torch.float32))


def test_a_sampling_step_is_the_vendors(pipelined: Pipelined) -> None:
    stack, x, state, masks = example(SHAPE, torch.float32, dropout=0.0)
    with torch.no_grad():
        expected = Fused().run(stack, x[:1], state, masks)[0]
        stack.use(pipelined)
        before = workers()
        assert torch.equal(stack(x[:1], state, masks)[0], expected)
    assert workers() == before
