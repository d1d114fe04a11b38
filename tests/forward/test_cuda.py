"""What runs on an NVIDIA GPU: the type that was asked for, never silently another. Skipped where there is none."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from rounding import assert_close, bound
from test_parity import PLAIN, Shape, example, reference, results, run, values
from torch import Tensor

import lstm_lm
from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward import trials
from lstm_lm.forward.grid import window
from lstm_lm.forward.interface import Masks, StackSpec, StackState, Strategy
from lstm_lm.forward.strategies.fused import Fused
from lstm_lm.forward.strategies.pipelined import Pipelined
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.registry import find, names
from lstm_lm.training.module import LanguageModelTask

Config = Callable[..., dict[str, Any]]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda")


@needs_gpu
@pytest.mark.parametrize("cell", PLAIN.values(), ids=PLAIN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
def test_every_type_is_computed_by_cudnn_or_bfloat16_in_float32(cell: Cell, dtype: torch.dtype) -> None:
    computed = trials.computed_in(cell, [CUDA], dtype)
    assert computed == dtype or (computed, dtype) == (torch.float32, torch.bfloat16)
    assert trials.run_once(cell, CUDA, computed).kernel is not None
    assert Fused().supports(StackSpec(cell, 8, (8, 8)), CUDA, dtype) is None


@needs_gpu
@pytest.mark.usefixtures("exact_products")
@pytest.mark.parametrize("cell", [LSTM, GRU], ids=lambda cell: cell.name)
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize(
    "asked",
    [torch.float16, torch.bfloat16, None],
    ids=str,
)
def test_autocast_computes_what_it_says_and_agrees_with_float64(
    asked: torch.dtype | None, dropout: bool, cell: Cell
) -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(cell, 16, [16, 16], layer_dropout=dropout)
    x = torch.randn(9, 4, 16)
    masks = Masks((torch.rand(9, 4, 16).gt(0.4) / 0.6,)) if dropout else Masks()
    exact = RecurrentStack(cell, 16, [16, 16]).double()
    exact.load_state_dict(stack.state_dict())
    expected, after = exact(x.double(), exact.initial_state(4), Masks(tuple(m.double() for m in masks.between)))
    expected.sum().backward()

    stack.to(CUDA)
    on_gpu = Masks(tuple(mask.to(CUDA) for mask in masks.between))
    with torch.autocast("cuda", asked or torch.float16, enabled=asked is not None):
        y, state = stack(x.to(CUDA), stack.initial_state(4), on_gpu)
    y.float().sum().backward()
    assert y.dtype == trials.computed_in(cell, [CUDA], asked or torch.float32)
    found = results([y, *itertools.chain(*state)], [], stack.parameters())
    exactly = results([expected, *itertools.chain(*after)], [], exact.parameters())
    assert_close(found, exactly, bound(stack.spec, x, asked))


@needs_gpu
@pytest.mark.parametrize("cell", PLAIN.values(), ids=PLAIN)
def test_cudnn_finds_every_cells_weights_where_they_should_lie(cell: Cell) -> None:
    """pytest turns cuDNN's warning into an error."""
    stack = RecurrentStack(cell, 8, [8, 8]).to(CUDA)
    for masks, layout in ((Masks(), "whole"), (Masks((torch.ones(3, 2, 8, device=CUDA),)), "layers")):
        stack(torch.randn(3, 2, 8, device=CUDA), stack.initial_state(2), masks)[0].sum().backward()
        assert stack.vendor_layout == layout


@needs_gpu
def test_weights_can_be_trained_after_they_were_laid_out_in_inference_mode() -> None:
    stack = RecurrentStack(LSTM, 8, [8]).to(CUDA)
    x = torch.randn(3, 2, 8, device=CUDA)
    with torch.inference_mode():
        stack(x, stack.initial_state(2))
    stack(x, stack.initial_state(2))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in stack.parameters())


@pytest.fixture
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuDNN's float32 is TensorFloat-32 unless it is told otherwise."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


class Case(NamedTuple):
    parameters: torch.dtype
    autocast: torch.dtype | None


CASES = {
    "64-true": Case(torch.float64, None),
    "32-true": Case(torch.float32, None),
    "bf16-true": Case(torch.bfloat16, None),
    "16-mixed": Case(torch.float32, torch.float16),
    "bf16-mixed": Case(torch.float32, torch.bfloat16),
}
SHAPE = Shape(13, 4, 16, (32, 32, 32))
DEEP = Shape(96, 16, 64, (128, 128, 128, 128))


def on_gpu(given: tuple[Tensor, StackState, Masks]) -> tuple[Tensor, StackState, Masks]:
    x, state, masks = given
    start = tuple(tuple(tensor.to(CUDA) for tensor in layer) for layer in state)
    return x.to(CUDA), start, Masks(tuple(mask.to(CUDA) for mask in masks.between))


@needs_gpu
@pytest.mark.usefixtures("exact_products")
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("precision", CASES)
@pytest.mark.parametrize("name", names("lstm_lm.forward.strategies"))
@pytest.mark.parametrize("cell", PLAIN)
def test_every_strategy_agrees_with_float64_on_the_cpu(cell: str, name: str, precision: str, dropout: float) -> None:
    parameters, autocast = CASES[precision]
    strategy: Strategy = find("lstm_lm.forward.strategies", name, "forward").STRATEGY()
    stack, *given = example(SHAPE, parameters, dropout=dropout, cell=PLAIN[cell])
    if (reason := strategy.supports(stack.spec, CUDA, autocast or parameters)) is not None:
        pytest.skip(reason)
    expected = reference(stack, *example(SHAPE, parameters, dropout=dropout, cell=PLAIN[cell])[1:])
    stack.to(CUDA).use(strategy)
    with torch.autocast("cuda", autocast or torch.float16, enabled=autocast is not None):
        found = run(stack, *on_gpu((given[0], given[1], given[2])))
    assert all(tensor.is_cuda for tensor in itertools.chain(*found))
    assert_close(found, expected, bound(stack.spec, given[0], autocast))


# Layers at the same time


@needs_gpu
@pytest.mark.parametrize("callers", ["the default stream", "a stream of the caller's"])
@pytest.mark.parametrize("chunk", [1, 7, 32, None])
def test_streams_give_the_same_every_time(chunk: int | None, callers: str) -> None:
    """Forwards and backwards, window after window: what one stream reads no other may overwrite meanwhile."""
    stack, *given = example(DEEP, torch.float64, dropout=0.4)
    stack.to(CUDA)
    x, state, masks = on_gpu((given[0], given[1], given[2]))
    expected = run(stack, x, state, masks)
    stack.use(Pipelined(chunk=chunk))
    stream = torch.cuda.current_stream() if callers == "the default stream" else torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(10):
            assert_close(run(stack, x, state, masks), expected, bound(stack.spec, x))
    stack.strategy.close()


@needs_gpu
def test_streams_without_gradients_and_in_windows_that_follow_each_other() -> None:
    stack, *given = example(DEEP, torch.float64, dropout=0.0)
    stack.to(CUDA)
    x, state, _ = on_gpu((given[0], given[1], given[2]))
    with torch.inference_mode():
        expected, after = stack(x, state)
        stack.use(Pipelined(chunk=8))
        parts = []
        for window in x.split([40, 40, 16]):
            y, state = stack(window, state)
            parts.append(y)
    assert_close(values(torch.cat(parts), state), values(expected, after), bound(stack.spec, x))


@needs_gpu
def test_a_failure_between_the_streams_is_the_callers_and_the_next_window_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    class Planted(Exception):
        pass

    stack, *given = example(SHAPE, torch.float32, dropout=0.0)
    stack.to(CUDA).use(Pipelined(chunk=4))
    x, state, masks = on_gpu((given[0], given[1], given[2]))
    cell = window._Grid.backward

    def failing(self: window._Grid, layer: int, chunk: int) -> None:
        if (layer, chunk) == (1, 1):
            raise Planted
        cell(self, layer, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(window._Grid, "backward", failing)
        with pytest.raises(Planted):
            run(stack, x, state, masks)
    run(stack, x, state, masks)
    torch.cuda.synchronize()


# Layers on two devices that differ

SPREAD = ["cpu", "cuda:0"]


@needs_gpu
@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("root", ["cpu", "cuda"])
def test_layers_on_cpu_and_gpu_agree_with_float64(root: str, dropout: float) -> None:
    """Wherever the rest of the model is; the results lie there too."""
    stack, *given = example(SHAPE, torch.float64, dropout=dropout)
    x, state, masks = given[0], given[1], given[2]
    expected = reference(stack, *example(SHAPE, torch.float64, dropout=dropout)[1:])
    stack.use(Pipelined(chunk=4, devices=SPREAD))
    stack.to(root)
    places = [layer.weight_hh.device.type for layer in stack.layers()]
    assert places in (["cpu", "cpu", "cuda"], ["cpu", "cuda", "cuda"])
    y, _ = stack(x.to(root), state, masks)
    assert y.device.type == root
    found = run(stack, x.to(root), state, masks)
    for parameter in stack.parameters():
        assert parameter.grad is not None
        assert parameter.grad.device == parameter.device
    stack.strategy.close()
    assert_close(found, expected, bound(stack.spec, x))


@needs_gpu
@pytest.mark.parametrize("clipped", ["1.0", "null"])
def test_training_keeps_parameters_gradients_and_optimizer_where_the_layer_lives(
    clipped: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Lightning has moved the module to its root device; and the checkpoint goes on where there is one device."""
    spread = ("device=gpu", "forward=pipelined", "forward.devices=[cpu,cuda:0]", f"trainer.gradient_clip_val={clipped}")
    every = ("model.num_layers=2", "model.dropout=0.2", "model.weight_drop=0.2", "scheduler=constant")
    seen: list[set[str]] = []
    step = LanguageModelTask.optimizer_step

    def watched(task: LanguageModelTask, *arguments: Any, **named: Any) -> None:
        step(task, *arguments, **named)
        optimizer: Any = task.optimizers(use_pl_optimizer=False)
        for name, parameter in task.model.named_parameters():
            device = parameter.device.type
            assert device == ("cpu" if name.endswith("_l0") else "cuda"), name
            assert parameter.grad is None or parameter.grad.device == parameter.device
            averages = {key: value for key, value in optimizer.state[parameter].items() if key != "step"}
            assert averages
            assert {value.device for value in averages.values()} == {parameter.device}
            seen.append({device})

    monkeypatch.setattr(LanguageModelTask, "optimizer_step", watched)
    summary = lstm_lm.train(small_config(*every, *spread, "trainer.max_steps=4"), tmp_path / "run")
    assert (summary.status, summary.train.steps) == ("completed", 4)
    assert {"cpu"} in seen
    assert {"cuda"} in seen
    monkeypatch.undo()
    resumed = small_config(*every, "forward=fused", "trainer.max_steps=6", "resume=auto")
    assert lstm_lm.train(resumed, tmp_path / "run").train.steps == 6
    again = small_config(*every, *spread, "trainer.max_steps=8", "resume=auto")
    assert lstm_lm.train(again, tmp_path / "run").train.steps == 8
