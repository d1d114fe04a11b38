"""The one place that chooses a strategy."""

import dataclasses
from typing import Any, ClassVar

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM, lstm_cell
from lstm_lm.cells.rnn import RNN, rnn_cell
from lstm_lm.errors import UserError
from lstm_lm.forward import choose as choosing
from lstm_lm.forward import trials
from lstm_lm.forward.choose import check_forward, choose
from lstm_lm.forward.interface import StackSpec, Strategy, Workload
from lstm_lm.forward.strategies.stepwise import Stepwise
from lstm_lm.forward.strategies.wavefront import Wavefront
from lstm_lm.forward.trials import Trial
from lstm_lm.models.recurrent_stack import RecurrentStack
from lstm_lm.registry import names

CPU = torch.device("cpu")
SPEC = StackSpec(LSTM, 4, (8, 8))
CUSTOM = StackSpec(lstm_cell(norm=True), 4, (8, 8))
WORKLOAD = Workload(batch_size=32, steps=64, dtype=torch.float32, training=True)


def test_auto_takes_what_is_estimated_to_be_fastest_of_all_that_can_run() -> None:
    choice = choose("auto", SPEC, CPU, WORKLOAD)
    costs = {
        name: choosing._strategy_class(name)().cost(SPEC, CPU, WORKLOAD)
        for name in names("lstm_lm.forward.strategies")
        if choosing._strategy_class(name)().supports(SPEC, CPU, torch.float32) is None
    }
    assert len(costs) == len(names("lstm_lm.forward.strategies"))
    assert costs[choice.strategy.name] == min(costs.values())
    assert "estimated " in choice.reason


def test_a_new_strategy_is_considered_without_being_named_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    class Faster(Stepwise):
        name: ClassVar[str] = "faster"

        def cost(self, spec: StackSpec, device: torch.device, workload: Workload) -> float:
            return 0.001

    known = choosing._strategy_class
    monkeypatch.setattr(choosing, "names", lambda package: [*names(package), "faster"])
    monkeypatch.setattr(choosing, "_strategy_class", lambda name: Faster if name == "faster" else known(name))
    assert choose("auto", SPEC, CPU, WORKLOAD).strategy.name == "faster"


@pytest.mark.parametrize(
    ("spec", "workload", "expected"),
    [
        pytest.param(StackSpec(LSTM, 256, (256,) * 2), {"batch_size": 64, "steps": 100}, "fused", id="wide batch"),
        pytest.param(StackSpec(LSTM, 64, (64,) * 12), {"batch_size": 2, "steps": 128}, "pipelined", id="deep, narrow"),
        pytest.param(CUSTOM, {}, "wavefront", id="no vendor's cell, layers of one width"),
        pytest.param(StackSpec(GRU, 64, (64,) * 8), {"batch_size": 4}, "wavefront", id="deep, narrow, not on oneDNN"),
        pytest.param(
            StackSpec(GRU, 512, (512,) * 4), {"batch_size": 32}, "pipelined", id="wide, not on oneDNN: products scale"
        ),
        pytest.param(
            StackSpec(RNN, 64, (64,) * 2),
            {"batch_size": 1, "steps": 1, "training": False},
            "fused",
            id="one step of simple cells",
        ),
        pytest.param(
            StackSpec(RNN, 256, (256,)), {"training": False}, "fused", id="one layer of simple cells, in evaluation"
        ),
        pytest.param(
            StackSpec(lstm_cell(norm=True), 4, (8, 4)), {}, "stepwise", id="no vendor's cell, layers of unequal width"
        ),
        pytest.param(
            StackSpec(LSTM, 64, (64,) * 12),
            {"batch_size": 1, "steps": 1, "training": False},
            "fused",
            id="one step at a time, as in generation",
        ),
    ],
)
def test_auto_decides_by_shape_and_cell(
    spec: StackSpec, workload: dict[str, Any], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On two cores, whatever this machine has."""
    monkeypatch.setattr("lstm_lm.forward.costs.threads", lambda: 2)
    monkeypatch.setattr("lstm_lm.forward.strategies.pipelined.usable_cores", lambda: 2)
    choice = choose("auto", spec, CPU, dataclasses.replace(WORKLOAD, **workload))
    assert choice.strategy.name == expected


def test_on_a_gpu_the_vendors_kernel_wins_where_it_has_the_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trials, "run_once", lambda cell, device, dtype: Trial("cuDNN", None))
    # PyTorch's CUDA build asks the driver, of which a machine without a GPU has none
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    cuda = torch.device("cuda")
    for cell in (LSTM, GRU, RNN, rnn_cell("relu")):
        assert choose("auto", StackSpec(cell, 64, (64,) * 12), cuda, WORKLOAD).strategy.name == "fused"
    assert choose("auto", CUSTOM, cuda, WORKLOAD).strategy.name == "wavefront"


def test_auto_says_why_it_passed_others_over() -> None:
    choice = choose("auto", CUSTOM, CPU, WORKLOAD)
    assert "not fused" in choice.reason
    assert "layer_norm=true" in choice.reason


def test_a_reason_is_given_once_and_a_lead_only_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell off the vendor's kernel keeps out both that run on it."""
    reason = choose("auto", CUSTOM, CPU, WORKLOAD).reason
    assert "not fused or pipelined: " in reason
    assert reason.count("layer_norm=true") == 1
    for ratio, told in ((1.04, "faster than stepwise"), (1.5, "1.5 times as fast as stepwise")):
        monkeypatch.setattr("lstm_lm.forward.strategies.stepwise.Stepwise.cost", lambda *_, ratio=ratio: ratio)
        monkeypatch.setattr("lstm_lm.forward.strategies.wavefront.Wavefront.cost", lambda *_: 1.0)
        assert choose("auto", CUSTOM, CPU, WORKLOAD).reason.startswith(f"estimated {told}; not")


def test_what_pipelined_is_made_of_is_told() -> None:
    section = {"name": "pipelined", "chunk": 16, "workers": 2, "devices": None}
    assert choose(section, SPEC, CPU, WORKLOAD).reason == "asked for: 2 workers, chunks of 16 steps"
    deep = StackSpec(LSTM, 8, (8, 8, 8))
    spread = section | {"workers": None, "devices": ["cpu", "cpu"]}
    assert choose(spread, deep, CPU, WORKLOAD).reason == (
        "asked for: 2 workers, chunks of 16 steps, layers 0 on cpu, 1-2 on cpu"
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_answered_with_what_is() -> None:
    with pytest.raises(UserError, match=r"finds no CUDA device on this machine\nuse \[cpu,cpu\]"):
        check_forward({"name": "pipelined", "chunk": None, "workers": None, "devices": ["cuda:0"]})


def test_a_strategy_that_cannot_run_is_refused_with_its_reason_and_the_others() -> None:
    with pytest.raises(UserError, match="no vendor's kernel") as caught:
        choose("fused", CUSTOM, CPU, WORKLOAD)
    assert "stepwise" in str(caught.value)


def test_a_cell_that_no_vendor_knows_has_a_way_to_run() -> None:
    unknown = StackSpec(dataclasses.replace(GRU, name="minimal"), 4, (8, 8))
    assert choose("auto", unknown, CPU, WORKLOAD).strategy.name in ("wavefront", "stepwise")
    with pytest.raises(UserError, match="no vendor's kernel computes the cell minimal"):
        choose("fused", unknown, CPU, WORKLOAD)


def test_layers_of_unequal_width_are_no_wavefront() -> None:
    with pytest.raises(UserError, match="unequal width"):
        choose("wavefront", StackSpec(LSTM, 4, (8, 4)), CPU, WORKLOAD)


def test_an_unknown_strategy_lists_those_there_are() -> None:
    with pytest.raises(UserError) as caught:
        check_forward({"name": "fast"})
    assert all(name in str(caught.value) for name in names("lstm_lm.forward.strategies"))


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "fused", "calls": "auto", "chunk": 3}, "no such key"),
        ({"name": "fused", "calls": "twice"}, "forward.calls='twice': must be 'auto'"),
        ({"name": "pipelined", "chunk": 0, "workers": None, "devices": None}, "forward.chunk=0"),
        ({"name": "pipelined", "chunk": None, "workers": None}, "devices: missing"),
        ({"name": "pipelined", "chunk": None, "workers": None, "devices": []}, "must have at least 1 entry"),
    ],
)
def test_a_strategys_own_keys_are_checked(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_forward(section)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cell", [LSTM, GRU, RNN, lstm_cell(norm=True)], ids=lambda cell: cell.name)
def test_off_the_cpu_loops_are_ranked_by_what_they_launch(cell: Cell, training: bool) -> None:
    """Held to a count of the operations that PyTorch runs, wherever one launches clearly fewer than the other."""
    decided = 0
    for layers, steps in ((1, 12), (2, 12), (2, 24), (4, 12), (6, 8)):
        spec = StackSpec(cell, 8, (8,) * layers)
        work = Workload(batch_size=2, steps=steps, dtype=torch.float32, training=training)
        counted = {make: launched(make(), spec, work) for make in (Stepwise, Wavefront)}
        estimated = {make: make().cost(spec, torch.device("cuda"), work) for make in counted}
        if max(counted.values()) > 1.2 * min(counted.values()):
            decided += 1
            assert min(counted, key=counted.__getitem__) == min(estimated, key=estimated.__getitem__)
    assert decided >= 3


def launched(strategy: Strategy, spec: StackSpec, work: Workload) -> int:
    """Operations that are no views, which on a GPU would each be a kernel."""
    stack = RecurrentStack(spec.cell, spec.input_size, spec.hidden_sizes)
    stack.use(strategy)
    x = torch.randn(work.steps, work.batch_size, spec.input_size)
    with Count() as count, torch.set_grad_enabled(work.training):
        y, _ = stack(x, stack.initial_state(work.batch_size))
        if work.training:
            y.sum().backward()
    return count.launched


class Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.launched = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        views = any(given.alias_info is not None and not given.alias_info.is_write for given in func._schema.returns)
        self.launched += not views and "empty" not in func.__name__
        return func(*args, **(kwargs or {}))
