"""How often the vendor's kernel is called for a window, in what type, and with weights that lie where it wants them."""

from collections.abc import Callable

import pytest
import torch
from rounding import assert_close, bound
from test_parity import SHAPES, example, reference, run
from torch import Tensor

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward import cudnn_layout, trials
from lstm_lm.forward.cudnn_layout import cast_in_one_block, takes_one_block
from lstm_lm.forward.interface import StackSpec, Workload
from lstm_lm.forward.strategies import fused
from lstm_lm.forward.strategies.fused import Calls, Fused
from lstm_lm.forward.trials import Trial
from lstm_lm.models.recurrent_stack import RecurrentStack

CUDA = torch.device("cuda")
FLOAT16, FLOAT32 = torch.float16, torch.float32
FITS = StackSpec(LSTM, 256, (256, 256))
"""Each layer fits cuDNN's persistent kernel in float16, both in one call do not."""


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """What PyTorch would say on a machine with an NVIDIA GPU."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(trials, "run_once", lambda cell, device, dtype: Trial("cuDNN", None))


@pytest.fixture
def layers_of_each_call(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    calls: list[int] = []
    run_layers = fused.run_layers

    def counted(*arguments: object, num_layers: int, train: bool) -> object:
        calls.append(num_layers)
        return run_layers(*arguments, num_layers=num_layers, train=train)  # type: ignore[arg-type]

    monkeypatch.setattr(fused, "run_layers", counted)
    return calls


@pytest.mark.parametrize(
    ("calls", "dropout", "expected"),
    [("auto", 0.0, [3]), ("stack", 0.0, [3]), ("layer", 0.0, [1, 1, 1]), ("stack", 0.4, [1, 1, 1])],
)
def test_one_call_and_one_a_layer_compute_the_same(
    calls: Calls, dropout: float, expected: list[int], layers_of_each_call: list[int]
) -> None:
    stack, x, state, masks = example(SHAPES[0], torch.float64, dropout=dropout)
    stack.use(Fused(calls))
    found = run(stack, x, state, masks)
    assert layers_of_each_call == expected
    assert_close(found, reference(stack, x, state, masks), bound(stack.spec, x))


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("spec", "batch", "dtype", "once"),
    [
        (FITS, 64, FLOAT16, False),
        (FITS, 64, FLOAT32, True),  # the persistent kernel knows float16 alone
        (FITS, 63, FLOAT16, True),  # no multiple of 8
        (StackSpec(LSTM, 100, (256, 256)), 64, FLOAT16, True),  # the first layer does not fit
        (StackSpec(LSTM, 256, (200, 200)), 64, FLOAT16, True),
        (StackSpec(LSTM, 64, (64, 64)), 64, FLOAT16, True),  # so narrow that the whole stack has one
        (StackSpec(LSTM, 256, (256,)), 64, FLOAT16, True),  # one layer is one call
        (StackSpec(GRU, 256, (256, 256)), 64, FLOAT16, True),
        (StackSpec(LSTM, 256, (256, 512)), 64, FLOAT16, False),  # never in one call
    ],
)
def test_auto_calls_layer_by_layer_where_only_that_is_persistent(
    spec: StackSpec, batch: int, dtype: torch.dtype, once: bool
) -> None:
    assert Fused().calls_once(spec, CUDA, dtype, batch) == once
    assert not Fused("layer").calls_once(spec, CUDA, dtype, batch)


@pytest.mark.usefixtures("gpu")
def test_the_other_way_to_call_is_named_for_whoever_times_both() -> None:
    work = Workload(batch_size=64, steps=64, dtype=FLOAT16, training=True)
    assert Fused().variants(FITS, CUDA, work) == [{"calls": "stack"}]
    assert Fused().variants(StackSpec(LSTM, 100, (100, 100)), CUDA, work) == [{"calls": "layer"}]
    assert Fused().variants(StackSpec(LSTM, 256, (256,)), CUDA, work) == []
    assert Fused().variants(StackSpec(LSTM, 256, (256, 512)), CUDA, work) == []
    assert Fused().variants(FITS, torch.device("cpu"), work) == [], "oneDNN takes layers one by one anyway"
    assert "one call a layer" in Fused().details(FITS, CUDA, work)


def test_on_amds_gpus_nothing_is_said_of_cudnn(gpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    assert Fused().calls_once(FITS, CUDA, FLOAT16, 64)


@pytest.mark.parametrize(("kernel", "wanted"), [("cuDNN", True), ("MIOpen", False), (None, False)])
def test_weights_lie_in_one_block_for_cudnn_alone(
    kernel: str | None, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MIOpen's build of PyTorch raises where cuDNN's flattens."""
    monkeypatch.setattr(trials, "run_once", lambda cell, device, dtype: Trial(kernel, None))

    class OnGPU:
        is_cuda, device, dtype = True, CUDA, FLOAT32

    assert takes_one_block(LSTM, OnGPU()) == wanted  # type: ignore[arg-type]
    assert not takes_one_block(LSTM, torch.empty(1)), "on a CPU they may lie anywhere"


@pytest.mark.parametrize("one_block", [True, False])
def test_weights_are_cast_once_a_call_and_their_gradients_come_back_in_their_own_type(
    one_block: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    flattened: list[tuple[str, int]] = []
    monkeypatch.setattr(cudnn_layout, "takes_one_block", lambda cell, weight: one_block)
    monkeypatch.setattr(
        cudnn_layout, "flatten", lambda name, weights, layers: flattened.append((name, len(weights) // layers))
    )
    weights = RecurrentStack(LSTM, 4, [8, 8]).flat_weights()
    copies = cast_in_one_block(LSTM, weights, torch.bfloat16, 2)
    assert all(torch.equal(copy, weight.to(torch.bfloat16)) for copy, weight in zip(copies, weights, strict=True))
    assert flattened == ([("lstm", 4)] if one_block else [])
    sum(copy.float().square().sum() for copy in copies).backward()  # type: ignore[union-attr]
    for copy, weight in zip(copies, weights, strict=True):
        assert weight.grad is not None
        assert weight.grad.dtype == FLOAT32
        assert torch.equal(weight.grad, 2 * copy.float().to(torch.bfloat16).float())
    assert cast_in_one_block(LSTM, weights, FLOAT32, 2) is weights, "nothing to cast, nothing to copy"


@pytest.mark.parametrize("make", [Fused, lambda: Fused("layer")], ids=["stack", "layer"])
def test_a_state_of_another_type_is_taken_as_it_comes(make: Callable[[], Fused]) -> None:
    """A strategy that computed in float32 leaves float32, and the next window may be one step without gradients."""
    stack, x, state, _ = example(SHAPES[0], torch.bfloat16, dropout=0.0)
    stack.use(make())
    wide = tuple(tuple(tensor.float() for tensor in layer) for layer in state)
    for window in (x, x[:1]):
        with torch.no_grad():
            found: Tensor = stack(window, wide)[0]
            expected: Tensor = stack(window, state)[0]
        assert found.dtype == torch.bfloat16
        assert torch.equal(found, expected)
