"""What a run records of its machine: a GPU's figures come from libraries that raise whatever they like."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import lstm_lm
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.observers.clock import StepClock
from lstm_lm.training.observers.metrics import Metrics

GPU = torch.device("cuda:0")


class NVMLError(Exception):
    """As pynvml's: an `Exception`, and no `RuntimeError`."""


class AmdSmiException(Exception):
    """As amdsmi's."""


class Texts:
    """All of a writer that is used here."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def text(self, name: str, text: str, step: int) -> None:
        self.lines.append((name, text))


@pytest.fixture
def texts() -> Texts:
    return Texts()


@pytest.fixture
def metrics(texts: Texts, monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 1000)
    config, parts = TrainConfig.parse(lstm_lm.compose()), SimpleNamespace(steps_per_epoch=1, total_steps=None)
    return Metrics(config, parts, texts, StepClock())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        NVMLError("Not Supported"),
        AmdSmiException("AMDSMI_STATUS_NOT_SUPPORTED"),
        ModuleNotFoundError("nvidia-ml-py does not seem to be installed or it can't be imported."),
        RuntimeError("cuda driver can't be loaded, is cuda enabled?"),
        OSError("libnvidia-ml.so.1"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_figure_of_a_gpu_that_cannot_be_had_is_left_out_and_said_once(
    metrics: Metrics, texts: Texts, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def utilization(_: Any) -> int:
        raise error

    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    for _ in range(3):
        values = metrics._machine(GPU)
        assert values["usage/gpu_memory_bytes"] == 1000
        assert "usage/gpu_percent" not in values
    assert texts.lines == [("usage/gpu_percent", f"cannot be had here: {type(error).__name__}: {error}")]
    assert metrics.idle_gpu_percent is None


def test_what_is_no_number_is_left_out(metrics: Metrics, texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    """amdsmi says "N/A" where a card does not count something."""
    monkeypatch.setattr(torch.cuda, "utilization", lambda _: "N/A")
    assert "usage/gpu_percent" not in metrics._machine(GPU)
    assert "N/A" in texts.lines[0][1]


def test_a_figure_that_can_be_had_is_recorded(metrics: Metrics, texts: Texts, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that could not be had before, too; and a GPU that is idle is worth a hint."""

    def lost(_: Any) -> int:
        raise NVMLError("Timeout")

    for use in (lost, lambda _: 20, lambda _: 40):
        monkeypatch.setattr(torch.cuda, "utilization", use)
        values = metrics._machine(GPU)
    assert values["usage/gpu_percent"] == 40
    assert metrics.idle_gpu_percent == 30
    assert len(texts.lines) == 1


@pytest.mark.parametrize(("steps_per_epoch", "jumps"), [(21, 1), (20, 0)])
def test_a_loss_jumps_only_where_a_window_is_whole(metrics: Metrics, steps_per_epoch: int, jumps: int) -> None:
    """An epoch's last window may be of a few tokens, whose loss means nothing."""
    metrics._steps_per_epoch = steps_per_epoch
    for step in range(1, 21):
        metrics._note_spike(step, 9.0 if step == 20 else 1.0)
    assert len(metrics.spikes) == jumps


def test_a_cpu_has_no_such_figures(metrics: Metrics) -> None:
    assert set(metrics._machine(torch.device("cpu"))) == {"usage/cpu_percent", "usage/ram_bytes"}
