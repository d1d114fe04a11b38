"""A run under each forward strategy: the same losses, the same checkpoints, the same ends, and no thread left."""

import gc
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from process_settings import changed, everything
from rounding import bound, of_losses
from tiers import first, smallest

import lstm_lm
from lstm_lm.cells.gru import GRU
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import rnn_cell
from lstm_lm.errors import Interrupted, RunError
from lstm_lm.forward import diagonals
from lstm_lm.forward.grid import window
from lstm_lm.forward.interface import StackSpec
from lstm_lm.registry import names
from lstm_lm.runs import metrics_file
from lstm_lm.runs.directory import RunDirectory

Config = Callable[..., dict[str, Any]]

PIPELINED = ("forward=pipelined", "forward.chunk=5")
TWO_DEVICES = (*PIPELINED, "forward.devices=[cpu,cpu]")
THREADS = (*PIPELINED, "forward.workers=3")
WAYS: dict[str, tuple[str, ...]] = {
    **{name: (f"forward={name}",) for name in names("lstm_lm.forward.strategies")},
    "pipelined on three threads": THREADS,
    "pipelined on two devices": TWO_DEVICES,
}
DEEP = (
    *("model.num_layers=3", "model.dropout=0.2", "model.weight_drop=0.2", "model.init=orthogonal"),
    *("trainer.max_epochs=2", "optimizer.lr=0.02"),
)
"""Windows of 16 steps are no multiple of a chunk; 43 windows are an epoch, its last one is shorter."""


def losses(run: Path) -> list[float]:
    rows = metrics_file.read(run / "metrics.csv")
    found = {int(row["step"]): row["train/loss"] for row in rows if row.get("train/loss") is not None}
    assert list(found) == list(range(1, len(found) + 1)), "no step missing or twice"
    return list(found.values())


def rounding_of(cell: str, losses: list[float]) -> float:
    """How far another strategy's losses may be from these."""
    known = GRU if "gru" in cell else rnn_cell("relu" if "relu" in cell else "tanh") if "rnn" in cell else LSTM
    shape = torch.empty(16, 4)  # as `small_config` has it, and `DEEP`
    two = bound(StackSpec(known, 8, (16, 16, 16)), shape, torch.float32, reference=torch.float32, beside=2)
    return of_losses(two, losses)


def threads() -> list[str]:
    return sorted(thread.name for thread in threading.enumerate())


@pytest.mark.matrix
def test_fifty_steps_are_the_same_under_every_strategy(small_config: Config, tmp_path: Path) -> None:
    before = threads()
    found: dict[str, list[float]] = {}
    validated: dict[str, float | None] = {}
    for way, typed in WAYS.items():
        summary = lstm_lm.train(small_config(*DEEP, "trainer.max_steps=50", *typed), tmp_path / way)
        assert threads() == before
        assert (summary.status, summary.train.steps) == ("completed", 50)
        assert way.startswith(summary.runtime.forward or "?")
        assert summary.train.loss == losses(tmp_path / way)[-1]
        found[way] = losses(tmp_path / way)
        validated[way] = None if summary.val is None else summary.val.loss
    assert len(found["fused"]) == 50
    assert found["fused"][-1] < found["fused"][0] - 0.1, "it learns"
    allowed = rounding_of("lstm", found["fused"])
    for way, each in found.items():
        assert each == pytest.approx(found["fused"], rel=0, abs=allowed), way
        assert validated[way] == pytest.approx(validated["fused"], rel=0, abs=allowed), way


@pytest.mark.matrix
@pytest.mark.parametrize("cell", ["model=gru", "model=rnn", "model=rnn model.activation=relu"])
def test_fifty_steps_of_other_cells_are_the_same_under_every_strategy(
    cell: str, small_config: Config, tmp_path: Path
) -> None:
    found: dict[str, list[float]] = {}
    for way, typed in WAYS.items():
        config = small_config(*cell.split(), *DEEP, "optimizer.lr=0.005", "trainer.max_steps=50", *typed)
        summary = lstm_lm.train(config, tmp_path / way)
        assert way.startswith(summary.runtime.forward or "?")
        found[way] = losses(tmp_path / way)
    assert found["fused"][-1] < found["fused"][0] - 0.1, "it learns"
    allowed = rounding_of(cell, found["fused"])
    for way, each in found.items():
        assert each == pytest.approx(found["fused"], rel=0, abs=allowed), way


@pytest.mark.parametrize("order", first([list(WAYS), [*reversed(WAYS)]]), ids=["there", "and back"])
def test_a_checkpoint_continues_under_another_strategy(order: list[str], small_config: Config, tmp_path: Path) -> None:
    """Each takes over from the one before; together they take the steps that one alone takes."""
    every = (*DEEP, "scheduler=constant")
    steps = 4 * len(order)
    lstm_lm.train(small_config(*every, f"trainer.max_steps={steps}"), tmp_path / "alone")
    for number, way in enumerate(order, 1):
        config = small_config(*every, *WAYS[way], f"trainer.max_steps={4 * number}", "resume=auto")
        before = threads()
        summary = lstm_lm.train(config, tmp_path / "relay")
        assert threads() == before
        assert way.startswith(summary.runtime.forward or "?")
    assert len(losses(tmp_path / "relay")) == steps
    alone = losses(tmp_path / "alone")
    assert losses(tmp_path / "relay") == pytest.approx(alone, rel=0, abs=rounding_of("lstm", alone))


@pytest.mark.parametrize("way", smallest(WAYS, "pipelined on two devices"))
def test_what_one_strategy_trained_every_other_loads(way: str, small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(*DEEP, *WAYS[way], "trainer.max_steps=3"), tmp_path / "run")
    before = threads()
    texts = set()
    for forward in ("auto", *names("lstm_lm.forward.strategies")):
        loaded = lstm_lm.load(tmp_path / "run", forward=forward)
        texts.add(lstm_lm.generate(loaded, prompt="the cat sat", max_new_tokens=20, seed=1))
        loaded.model.close()
        assert threads() == before
    assert len(texts) == 1


def test_a_loaded_model_that_nobody_holds_leaves_no_thread(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(*DEEP, "trainer.max_steps=1"), tmp_path / "run")
    before = {*threading.enumerate()}
    section = {"name": "pipelined", "chunk": 4, "workers": 3, "devices": None}
    loaded = lstm_lm.load(tmp_path / "run", forward=section)
    lstm_lm.generate(loaded, prompt="the cat sat on a mat", max_new_tokens=1)
    started = {*threading.enumerate()} - before
    assert started, "a prompt of several tokens is a window"
    del loaded
    gc.collect()
    for thread in started:
        thread.join(10)
    assert {*threading.enumerate()} == before


# How a run ends


class Planted(Exception):
    """What no other code raises."""


@pytest.mark.parametrize("which", ["forward", "backward"])
def test_an_exception_in_a_worker_ends_the_run_as_the_exception_it_is(
    which: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threads()
    planted, main = Planted("planted"), threading.current_thread()
    met: list[threading.Thread] = []
    cell = getattr(window._Grid, which)
    times = 0

    def failing(self: window._Grid, layer: int, chunk: int) -> None:
        nonlocal times
        times += (layer, chunk) == (2, 1)
        if times == 4:
            met.append(threading.current_thread())
            raise planted
        cell(self, layer, chunk)

    monkeypatch.setattr(window._Grid, which, failing)
    with pytest.raises(Planted) as caught:
        lstm_lm.train(small_config(*DEEP, *TWO_DEVICES), tmp_path / "run")
    assert caught.value is planted
    assert main not in met, "the second device's layers have a thread of their own"
    assert threads() == before
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (written["status"], written["reason"], written["train"]["steps"]) == ("failed", "planted", 3)


def test_a_user_error_in_a_worker_is_a_run_error_and_leaves_no_thread(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = threads()

    def failing(self: window._Grid, layer: int, chunk: int) -> None:
        raise RunError("out of memory")

    monkeypatch.setattr(window._Grid, "backward", failing)
    with pytest.raises(RunError, match="out of memory"):
        lstm_lm.train(small_config(*DEEP, *THREADS), tmp_path / "run")
    assert threads() == before


@pytest.mark.parametrize("number", first([signal.SIGINT, signal.SIGTERM]))
def test_a_signal_in_the_midst_of_a_grid_ends_the_run_between_steps(
    number: signal.Signals, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = (*DEEP, *THREADS, "scheduler=constant", "trainer.max_steps=6")
    lstm_lm.train(small_config(*every), tmp_path / "whole")
    before = threads()
    cell, times = window._Grid.backward, 0

    def interrupted(self: window._Grid, layer: int, chunk: int) -> None:
        nonlocal times
        if (layer, chunk) == (1, 1):
            times += 1
            if times == 3:
                signal.raise_signal(number)
        cell(self, layer, chunk)

    with monkeypatch.context() as patched:
        patched.setattr(window._Grid, "backward", interrupted)
        with pytest.raises(Interrupted) as caught:
            lstm_lm.train(small_config(*every), tmp_path / "parts")
    assert caught.value.exit_status == 128 + number
    assert threads() == before
    assert RunDirectory(tmp_path / "parts").last.exists()
    assert len(losses(tmp_path / "parts")) == 3
    lstm_lm.train(small_config(*every, "resume=auto"), tmp_path / "parts")
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


# Runs of one process


def test_tuning_ends_the_threads_of_what_it_tried(small_config: Config, tmp_path: Path) -> None:
    before = threads()
    quick = ("tune=speed", "tune.rounds=1", "tune.steps=1", "tune.compile=false", "tune.threads=[1]")
    config = small_config(*DEEP, *quick, "tune.forwards=[pipelined,fused]", "trainer.max_steps=2")
    lstm_lm.train(config, tmp_path / "run")
    table = json.loads(RunDirectory(tmp_path / "run").tuning.read_text())["table"]
    assert {row["forward"] for row in table if row["outcome"] not in ("failed", "not tried")} == {"pipelined", "fused"}
    assert threads() == before


@pytest.mark.matrix
def test_jobs_that_alternate_strategy_and_compiling_are_what_each_is_alone(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagonals, "CHUNK", 3)  # quick to compile
    kinds = {
        "pipelined": THREADS,
        "wavefront": ("forward=wavefront", "compile=default"),
        "fused": ("forward=fused", "runtime.threads=2", "runtime.float32_matmul_precision=highest"),
    }
    every = (*DEEP, "model.hidden_size=8", "data.seq_len=4", "trainer.max_steps=4", "callbacks.samples.length=0")
    lstm_lm.train(small_config(*every, *kinds["wavefront"]), tmp_path / "first")  # torch.compile loads its modules
    before = everything()
    found: dict[str, list[list[float]]] = {kind: [] for kind in kinds}
    graphs: dict[str, list[int | None]] = {kind: [] for kind in kinds}
    for kind in (*kinds, *reversed(kinds)):
        run = tmp_path / f"{kind} {len(found[kind])}"
        summary = lstm_lm.train(small_config(*every, *kinds[kind]), run)
        assert changed(before) == []
        assert not torch._dynamo.config.error_on_recompile
        found[kind].append(losses(run))
        graphs[kind].append(summary.runtime.compile_graphs)
    for kind, (one, other) in found.items():
        assert one == other, kind
        assert one == pytest.approx(found["fused"][0], rel=0, abs=rounding_of("lstm", found["fused"][0])), kind
    assert graphs == {"pipelined": [0, 0], "wavefront": [4, 4], "fused": [0, 0]}
