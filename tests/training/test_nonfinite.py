"""Numbers that go bad: what a run does, and that nothing bad is kept."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console

import lstm_lm
from lstm_lm.errors import RunError
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.training import nonfinite
from lstm_lm.training.gradients import Gradients
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.nonfinite import (
    MOST_OVERFLOWS_IN_A_ROW,
    MOST_SKIPPED_IN_A_ROW,
    Arriving,
    NonFinite,
    StepFacts,
)

Config = Callable[..., dict[str, Any]]
EVERY = ("trainer.max_steps=8", "callbacks.checkpoint.every_n_steps=2", "model.dropout=0.1")


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the gradient of one parameter NaN in the optimizer steps that are given, counted from 1."""

    def make(*steps: int) -> None:
        clip = LanguageModelTask.configure_gradient_clipping

        def spoilt(self: LanguageModelTask, *args: Any, **kwargs: Any) -> None:
            if self.global_step + 1 in steps:
                weight = next(weight for name, weight in self.model.named_parameters() if "embedding" in name)
                assert weight.grad is not None
                weight.grad[0, 0] = float("nan")
            clip(self, *args, **kwargs)

        monkeypatch.setattr(LanguageModelTask, "configure_gradient_clipping", spoilt)

    return make


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    saved: dict[str, torch.Tensor] = checkpoint_file.load(run_dir / "checkpoints" / "last.ckpt")["state_dict"]
    return saved


def test_stop_names_step_parameter_rate_and_window(small_config: Config, tmp_path: Path, spoil: Any) -> None:
    spoil(5)
    with pytest.raises(RunError, match="step 5: the gradient is not a finite number") as caught:
        lstm_lm.train(small_config(*EVERY), tmp_path / "run")
    message = str(caught.value)
    for part in (
        "embedding",
        "nan",
        "learning rate",
        "window 5 of epoch 1",
        "first stream begins",
        "on_nonfinite=skip",
    ):
        assert part in message
    assert len(message.splitlines()) <= 4
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "failed"
    assert checkpoint_file.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == 4
    assert all(bool(weight.isfinite().all()) for weight in weights(tmp_path / "run").values())


def test_a_run_that_was_stopped_so_can_be_continued(
    small_config: Config, tmp_path: Path, spoil: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(5)
    with pytest.raises(RunError, match="step 5"):
        lstm_lm.train(small_config(*EVERY), tmp_path / "run")
    monkeypatch.undo()
    lstm_lm.train(small_config(*EVERY, "resume=auto"), tmp_path / "run")
    lstm_lm.train(small_config(*EVERY), tmp_path / "whole")
    assert all(
        torch.equal(weight, weights(tmp_path / "whole")[name]) for name, weight in weights(tmp_path / "run").items()
    )


def test_skip_leaves_out_the_step_and_nothing_else(small_config: Config, tmp_path: Path, spoil: Any) -> None:
    """As if that step had had no gradient: every weight and every average of the optimizer is what it was."""
    spoil(5)
    every = ("callbacks.checkpoint.every_n_steps=1", "callbacks.checkpoint.keep=8")
    config = small_config(*EVERY, *every, "on_nonfinite=skip", "averaging=ema")
    lstm_lm.train(config, tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints"
    by_step = {saved["global_step"]: saved for saved in map(checkpoint_file.load, sorted(folder.glob("last*.ckpt")))}
    before, after, later = by_step[4], by_step[5], by_step[6]
    names = list(before["state_dict"])
    assert all(torch.equal(before["state_dict"][name], after["state_dict"][name]) for name in names)
    assert not all(torch.equal(after["state_dict"][name], later["state_dict"][name]) for name in names)
    states = [saved["optimizer_states"][0]["state"] for saved in (before, after)]
    for key, kept in states[0].items():
        assert all(torch.equal(value, states[1][key][name]) for name, value in kept.items())
    averages = [saved["lstm_lm"]["averaging"] for saved in (before, after)]
    assert averages[0]["weights"]
    assert all(torch.equal(value, averages[1]["weights"][name]) for name, value in averages[0]["weights"].items())
    assert [row["step"] for row in metrics_file.read(tmp_path / "run" / "metrics.csv")] == list(range(1, 9))


def test_skip_gives_up_where_every_step_is_bad(small_config: Config, tmp_path: Path, spoil: Any) -> None:
    spoil(*range(3, 99))
    config = small_config("trainer.max_steps=40", "on_nonfinite=skip")
    with pytest.raises(RunError, match=f"{MOST_SKIPPED_IN_A_ROW} steps in a row were left out before it") as caught:
        lstm_lm.train(config, tmp_path / "run")
    assert "on_nonfinite" not in str(caught.value), "no advice that is followed already"


def test_rewind_goes_back_to_the_last_checkpoint_and_on_with_the_text(
    small_config: Config, tmp_path: Path, spoil: Any
) -> None:
    spoil(6)
    config = small_config(*EVERY, "callbacks.checkpoint.every_n_steps=4", "on_nonfinite=rewind")
    seen: dict[int, dict[str, torch.Tensor]] = {}
    step = LanguageModelTask.optimizer_step

    def watched(self: LanguageModelTask, *args: Any, **kwargs: Any) -> None:
        step(self, *args, **kwargs)
        seen[self.global_step + 1] = {name: weight.detach().clone() for name, weight in self.model.named_parameters()}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LanguageModelTask, "optimizer_step", watched)
        summary = lstm_lm.train(config, tmp_path / "run")
    assert summary.status == "completed"
    at_4, at_5, at_6, at_7 = (seen[number] for number in (4, 5, 6, 7))
    assert all(torch.equal(at_4[name], at_6[name]) for name in at_4)
    assert not all(torch.equal(at_5[name], at_6[name]) for name in at_4)
    assert not all(torch.equal(at_7[name], at_6[name]) for name in at_4)


def test_rewind_without_a_checkpoint_stops(small_config: Config, tmp_path: Path, spoil: Any) -> None:
    spoil(1)
    with pytest.raises(RunError, match="there is no checkpoint yet to rewind to"):
        lstm_lm.train(small_config("trainer.max_steps=4", "on_nonfinite=rewind"), tmp_path / "run")


def test_what_was_left_out_is_told_at_the_end(small_config: Config, tmp_path: Path, spoil: Any) -> None:
    spoil(3, 5)
    told = StringIO()
    config = small_config(*EVERY, "on_nonfinite=skip")
    lstm_lm.train(config, tmp_path / "run", console=Console(file=told, width=500))
    assert "a loss or gradient that was not finite was left out: 2 steps (3, 5)" in told.getvalue()
    at_once = next(line for line in told.getvalue().splitlines() if "step 3: " in line)
    for part in ("gradient is not a finite number", "embedding", "learning rate", "window 3", "its update is left out"):
        assert part in at_once


def test_a_loss_that_jumps_is_shown(small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In metrics.csv as it was, and in a line at the end."""
    clip = LanguageModelTask.configure_gradient_clipping

    def shaken(self: LanguageModelTask, *args: Any, **kwargs: Any) -> None:
        clip(self, *args, **kwargs)
        if self.global_step == 20:
            for weight in self.model.parameters():
                weight.data.mul_(30)

    monkeypatch.setattr(LanguageModelTask, "configure_gradient_clipping", shaken)
    told = StringIO()
    lstm_lm.train(small_config("trainer.max_steps=25"), tmp_path / "run", console=Console(file=told, width=200))
    rows = {row["step"]: row["train/loss"] for row in metrics_file.read(tmp_path / "run" / "metrics.csv")}
    assert rows[22] > 1.5 * rows[20]
    assert "loss jumped" in told.getvalue()


@pytest.mark.parametrize("scaled", [False, True])
def test_on_a_gpu_stop_looks_a_step_later_and_before_anything_is_kept(
    monkeypatch: pytest.MonkeyPatch, scaled: bool
) -> None:
    """The numbers are copied while the device works on; here they are said to be on a GPU."""
    monkeypatch.setattr(nonfinite, "looking_waits", lambda _: True)
    bad = facts_of(loss=float("nan"), norm=float("inf"), scaled=scaled)
    watch = NonFinite("stop", Letters())  # type: ignore[arg-type]
    assert not watch.leaves_out(bad)
    with pytest.raises(RunError, match="step 3: the loss is not a finite number"):
        watch.check_last_step()
    watch.check_last_step()  # told once
    assert not watch.leaves_out(bad)
    with pytest.raises(RunError, match="step 3: the loss is not a finite number"):
        watch.leaves_out(facts_of(1.0, 1.0))
    assert not watch.leaves_out(facts_of(1.0, 1.0))
    watch.check_last_step()
    assert not watch.leaves_out(facts_of(1.0, float("inf"), scaled=True))
    watch.check_last_step()  # a scaler tries


@pytest.mark.parametrize("action", ["skip", "rewind"])
def test_what_may_leave_a_step_out_never_looks_later(
    monkeypatch: pytest.MonkeyPatch, action: nonfinite.Action, tmp_path: Path
) -> None:
    """On a GPU it waits for the numbers: afterwards is too late."""
    monkeypatch.setattr(nonfinite, "looking_waits", lambda _: True)
    watch = NonFinite(action, Letters())  # type: ignore[arg-type]
    watch.checkpoint = lambda: tmp_path
    assert watch.leaves_out(facts_of(1.0, float("nan")))
    assert watch.leaves_out(facts_of(float("nan"), float("nan"), scaled=True))
    assert not watch.leaves_out(facts_of(1.0, float("inf"), scaled=True)), "the scaler's to leave out"


@pytest.mark.parametrize(("loss", "norm"), [(1.0, float("nan")), (float("inf"), 1.0)])
def test_a_loss_and_a_gradient_must_be_finite(loss: float, norm: float) -> None:
    """A loss may be infinite with a gradient that is not: where the softmax is saturated."""
    with pytest.raises(RunError, match="the gradient is" if loss == 1.0 else "the loss is"):
        NonFinite("stop", Letters()).leaves_out(facts_of(loss, norm))  # type: ignore[arg-type]
    assert NonFinite("skip", Letters()).leaves_out(facts_of(loss, norm))  # type: ignore[arg-type]
    assert not NonFinite("stop", Letters()).leaves_out(facts_of(1.0, 1.0))  # type: ignore[arg-type]


@pytest.mark.parametrize("later", [False, True])
def test_a_gradient_scaler_tries_but_not_for_ever(monkeypatch: pytest.MonkeyPatch, later: bool) -> None:
    """It leaves out steps whose gradient overflows itself, and takes a smaller scale for the next one."""
    monkeypatch.setattr(nonfinite, "looking_waits", lambda _: later)
    watch = NonFinite("stop", Letters())  # type: ignore[arg-type]

    def overflow() -> None:
        assert not watch.leaves_out(facts_of(1.0, float("inf"), scaled=True))
        watch.check_last_step()

    for _ in range(MOST_OVERFLOWS_IN_A_ROW):
        overflow()
    assert not watch.leaves_out(facts_of(1.0, 1.0, scaled=True))
    for _ in range(MOST_OVERFLOWS_IN_A_ROW):
        overflow()
    with pytest.raises(RunError, match="as in the 50 steps before, whatever its scale"):
        overflow()


def facts_of(loss: float, norm: float, scaled: bool = False) -> StepFacts:
    gradients = Gradients(["a"], [], [torch.tensor(norm)], torch.tensor(norm))
    return StepFacts(3, 0.1, gradients, torch.tensor(loss), scaled, 0, 3, torch.zeros(2, 1))


class Letters:
    """All of a tokenizer that a message needs."""

    def decode(self, ids: list[int]) -> str:
        return "a" * len(ids)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_no_checkpoint_of_a_gpu_holds_bad_weights(
    precision: str, small_config: Config, tmp_path: Path, spoil: Any
) -> None:
    spoil(5)
    with pytest.raises(RunError, match="step 5"):
        lstm_lm.train(small_config(*EVERY, "device=gpu", f"precision={precision}"), tmp_path / "run")
    assert all(bool(weight.isfinite().all()) for weight in weights(tmp_path / "run").values())


NEEDS_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NEEDS_A_GPU)])
def test_only_a_copy_that_an_event_follows_is_not_waited_for(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Apple's GPUs, too, a copy to the host would be read before it is there."""
    copy, waited_for = torch.Tensor.copy_, []

    def recorded(into: torch.Tensor, values: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        waited_for.append(not non_blocking)
        return copy(into, values, non_blocking=non_blocking)

    monkeypatch.setattr(torch.Tensor, "copy_", recorded)
    arriving = Arriving(torch.tensor([True, False], device=device))
    assert arriving.read() == [True, False]
    assert waited_for == [device == "cpu"]
