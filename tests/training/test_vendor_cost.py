"""A setting that keeps a model off the vendor's kernel is named, with what it costs here; measuring changes nothing."""

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import lstm_lm
from lstm_lm.cells.lstm import LSTM, lstm_cell
from lstm_lm.forward import trials
from lstm_lm.forward.interface import StackSpec
from lstm_lm.forward.strategies.fused import Fused
from lstm_lm.forward.strategies.stepwise import Stepwise
from lstm_lm.forward.trials import Trial
from lstm_lm.training import vendor_cost
from lstm_lm.training.vendor_cost import Place, Window, compare, vendor_warnings

CPU = torch.device("cpu")
HERE = Place(CPU, torch.float32, torch.float32, batch_size=2, seq_len=3)
PLAIN = StackSpec(LSTM, 4, (4, 4))
REGULARISED = ("recurrent_dropout=0.2", "zoneout_hidden=0.1", "zoneout_cell=0.1")
CUSTOM = StackSpec(lstm_cell("relu", norm=True), 4, (4, 3), layer_dropout=True, regularised=REGULARISED)


def test_a_model_on_the_vendors_kernel_gets_no_warning() -> None:
    assert vendor_warnings(Fused(), PLAIN, HERE) == []


def test_one_warning_names_every_setting_and_what_they_cost() -> None:
    (warning,) = vendor_warnings(Stepwise(), CUSTOM, HERE)
    for name in ("activation=relu", "layer_norm=true", *REGULARISED, "stepwise", "times as long"):
        assert name in warning
    assert "\n" not in warning


@pytest.mark.parametrize("products", [torch.float32, torch.bfloat16], ids=str)
def test_a_window_is_measured_in_its_own_types(products: torch.dtype) -> None:
    place = Place(CPU, torch.float32, products, batch_size=2, seq_len=3)
    assert compare(Window(Stepwise(), CUSTOM, place), Window(Fused(), PLAIN, place)) > 0


def test_measuring_draws_nothing_and_leaves_nothing() -> None:
    state, threads, grad = torch.get_rng_state(), threading.active_count(), torch.is_grad_enabled()
    vendor_warnings(Stepwise(), CUSTOM, HERE)
    assert torch.equal(torch.get_rng_state(), state)
    assert threading.active_count() == threads
    assert torch.is_grad_enabled() == grad


class Scripted(Window):
    """Takes so many seconds a step, by a clock of its own."""

    now = 0.0

    def __init__(self, seconds_a_step: float, seq_len: int) -> None:
        self.place = Place(CPU, torch.float32, torch.float32, batch_size=1, seq_len=seq_len)
        self.a_step = seconds_a_step
        self.asked: list[int] = []

    def seconds(self, steps: int) -> float:
        self.asked.append(steps)
        Scripted.now += steps * self.a_step
        return steps * self.a_step


@pytest.mark.parametrize(
    ("seconds_a_step", "seq_len", "steps"),
    [(1e-4, 100, 64), (1e-4, 10, 10), (1e-2, 100, 6), (10.0, 100, 2)],
    ids=["fast", "a short window", "slow", "very slow"],
)
def test_a_comparison_is_as_long_as_two_seconds_allow(
    seconds_a_step: float, seq_len: int, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vendor_cost.time, "perf_counter", lambda: Scripted.now)
    slow, fast = Scripted(2 * seconds_a_step, seq_len), Scripted(seconds_a_step, seq_len)
    begin = Scripted.now
    assert compare(slow, fast) == pytest.approx(2)
    assert slow.asked == fast.asked
    assert slow.asked[-1] == steps
    least = 2 * vendor_cost.PROBE_STEPS * 3 * seconds_a_step
    assert Scripted.now - begin <= max(vendor_cost.SECONDS, least) + 1e-9


def test_a_run_is_warned_once_and_its_results_do_not_depend_on_it(
    small_config: Callable[..., dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config("model.layer_norm=true", "model.recurrent_dropout=0.2", "trainer.max_steps=3")
    shown = io.StringIO()
    measured = lstm_lm.train(config, tmp_path / "measured", console=Console(file=shown, width=300))
    assert measured.runtime.warnings is not None
    (warning,) = measured.runtime.warnings
    assert "layer_norm=true, recurrent_dropout=0.2" in warning
    assert shown.getvalue().count(f"warning: {warning}") == 1

    monkeypatch.setattr(vendor_cost, "vendor_warnings", lambda *arguments: [])
    unmeasured = lstm_lm.train(config, tmp_path / "unmeasured")
    assert unmeasured.runtime.warnings == []
    assert unmeasured.train.loss == measured.train.loss
    assert unmeasured.val == measured.val


def test_the_default_model_gets_no_warning(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    assert lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run").runtime.warnings == []


@pytest.mark.parametrize(("seconds", "count"), [((0.3, 0.1), 1), ((0.1, 0.1), 0), ((0.1, 0.3), 0)])
def test_cudnns_persistent_kernel_is_named_where_it_would_be_faster(
    seconds: tuple[float, ...], count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With figures as a GPU might give: this stack's, then the next larger one's."""
    measured: list[tuple[StackSpec, Place]] = []
    monkeypatch.setattr(vendor_cost, "Window", lambda strategy, spec, place: measured.append((spec, place)))
    monkeypatch.setattr(vendor_cost, "compare", lambda one, other: seconds[0] / seconds[1])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    monkeypatch.setattr(trials, "run_once", lambda cell, device, dtype: Trial("cuDNN", None))
    gpu = Place(torch.device("cuda"), torch.float32, torch.float16, batch_size=20, seq_len=10)
    warnings = vendor_warnings(Fused(), StackSpec(LSTM, 128, (200,)), gpu)
    assert len(warnings) == count
    for warning in warnings:
        assert "hidden_size=200" in warning
        assert "batch_size=20" in warning
        assert "takes 0.33 times as long (hidden_size=[256], batch_size=24" in warning
    (_, first), (larger, second) = measured
    assert (first.batch_size, second.batch_size) == (20, 24)
    assert larger.hidden_sizes == (256,)
