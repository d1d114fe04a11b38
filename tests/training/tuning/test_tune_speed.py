"""`tune=speed`, end to end: what it leaves, that it changes nothing else, and that it is done once."""

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tiers import first

import lstm_lm
from lstm_lm import limits
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import Team
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning.candidates import Candidate
from lstm_lm.training.tuning.trial import StepTrial
from lstm_lm.training.tuning.tune import tune

Config = Callable[..., dict[str, Any]]
QUICK = ("tune=speed", "tune.rounds=1", "tune.steps=1", "tune.threads=[1]", "trainer.max_steps=4")
DROPOUTS = ("model.num_layers=2", "model.dropout=0.3", "scheduler=constant")


def losses(run: Path) -> dict[int, float]:
    return {int(row["step"]): row["train/loss"] for row in metrics_file.read(run / "metrics.csv") if row["train/loss"]}


def tuning(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(RunDirectory(run).tuning.read_text())
    return content


def by_hand(typed: str) -> tuple[str, ...]:
    return tuple(typed.split())


def test_the_choice_is_told_and_kept(small_config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_config(*QUICK, "precision=auto")
    summary = lstm_lm.train(config, tmp_path / "run", console=Console(width=120))
    found = tuning(tmp_path / "run")
    assert found["name"] == "speed"
    assert {row["precision"] for row in found["table"]} >= {"32-true"}
    assert [row["chosen"] for row in found["table"]].count(True) == 1
    chosen = next(row for row in found["table"] if row["chosen"])
    assert summary.runtime.precision == chosen["precision"] == found["chosen"]["trainer.precision"]
    assert summary.runtime.forward == chosen["forward"]
    assert summary.tuning is not None
    assert summary.tuning.chosen == found["chosen"]
    saved = checkpoint_file.load(RunDirectory(tmp_path / "run").last)["lstm_lm"]
    assert saved["tuning"] == found
    assert saved["config"]["trainer"]["precision"] == chosen["precision"]
    told = capsys.readouterr().out
    assert "ms/step" in told
    assert found["typed"] in told
    assert "too short a run" in told, "four steps are not compiled for"


def test_it_is_compared_with_a_run_that_leaves_busy_cores_alone(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "usable_cores", lambda: 2)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        lstm_lm.train(small_config(*QUICK, "tune.threads=[2,1]"), tmp_path / "run", free_cores=1.0)
    finally:
        torch.set_num_threads(threads)
    assert {row["threads"] for row in tuning(tmp_path / "run")["table"] if row["untuned"]} == {1}


def test_a_tuned_run_is_the_run_that_its_choice_gives_by_hand(small_config: Config, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    lstm_lm.train(small_config(*QUICK, *DROPOUTS, "precision=auto"), tmp_path / "tuned")
    typed = by_hand(tuning(tmp_path / "tuned")["typed"])
    assert len(typed) == 4
    lstm_lm.train(small_config("trainer.max_steps=4", *DROPOUTS, *typed), tmp_path / "typed")
    assert len(losses(tmp_path / "tuned")) == 4
    assert losses(tmp_path / "tuned") == losses(tmp_path / "typed")
    weights = [checkpoint_file.load(tmp_path / run / "checkpoints" / "last.ckpt") for run in ("tuned", "typed")]
    for name, tensor in weights[0]["state_dict"].items():
        assert torch.equal(tensor, weights[1]["state_dict"][name]), name
    assert torch.get_num_threads() == threads


def test_what_was_set_is_not_touched(small_config: Config, tmp_path: Path) -> None:
    config = small_config("tune=speed", "tune.rounds=1", "forward=stepwise", "runtime.threads=1", "trainer.max_steps=1")
    lstm_lm.train(config, tmp_path / "run")
    found = tuning(tmp_path / "run")
    assert [row["forward"] for row in found["table"] if row["outcome"] == "measured"] == ["stepwise"]
    assert found["chosen"].keys() <= {"compile.enabled", "compile.mode"}


def test_a_resumed_run_keeps_the_choice_and_measures_nothing(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = (*QUICK, *DROPOUTS, "precision=auto")
    lstm_lm.train(small_config(*every), tmp_path / "run")
    lstm_lm.train(small_config(*every, "trainer.max_steps=8"), tmp_path / "whole")
    before = tuning(tmp_path / "run")

    def measured(*arguments: Any) -> StepTrial:
        raise AssertionError("measured again")

    monkeypatch.setattr("lstm_lm.training.tuning.speed.StepTrial", measured)
    summary = lstm_lm.train(small_config(*every, "trainer.max_steps=8", "resume=auto"), tmp_path / "run")
    assert summary.train.steps == 8
    assert summary.tuning is not None
    assert tuning(tmp_path / "run") == before
    assert checkpoint_file.load(RunDirectory(tmp_path / "run").last)["lstm_lm"]["tuning"] == before
    if tuning(tmp_path / "whole")["typed"] == before["typed"]:
        assert losses(tmp_path / "run") == losses(tmp_path / "whole")


@pytest.mark.matrix
def test_a_resumed_run_may_set_by_hand_what_was_chosen(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(*QUICK, "precision=auto"), tmp_path / "run")
    config = small_config(*QUICK, "precision=64-true", "trainer.max_steps=5", "resume=auto")
    assert lstm_lm.train(config, tmp_path / "run").runtime.precision == "64-true"


def test_a_candidate_that_fails_is_listed_and_another_wins(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = StepTrial.time

    def time(self: StepTrial, steps: int) -> float:
        if torch.get_num_threads() == 2:
            raise RuntimeError("two is too many\nreally")
        return real(self, steps)

    monkeypatch.setattr(StepTrial, "time", time)
    config = small_config(*QUICK, "tune.threads=[2,1]", "tune.forwards=[fused]")
    lstm_lm.train(config, tmp_path / "run")
    rows = {row["threads"]: row for row in tuning(tmp_path / "run")["table"] if row["outcome"] != "not tried"}
    assert (rows[2]["outcome"], rows[2]["note"]) == ("failed", "RuntimeError: two is too many")
    assert rows[1]["chosen"]


@pytest.mark.parametrize("number", first([signal.SIGINT, signal.SIGTERM]))
def test_an_interruption_while_measuring_leaves_nothing(
    number: signal.Signals, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def time(self: StepTrial, steps: int) -> float:
        signal.raise_signal(number)
        return 1.0

    monkeypatch.setattr(StepTrial, "time", time)
    with pytest.raises(Interrupted) as caught:
        lstm_lm.train(small_config(*QUICK), tmp_path / "run")
    assert caught.value.exit_status == 128 + number
    assert not (tmp_path / "run").exists()


def test_a_run_that_is_refused_after_measuring_leaves_nothing(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any) -> None:
        raise UserError("no")

    monkeypatch.setattr("lstm_lm.training.train.fit", refuse)
    with pytest.raises(UserError):
        lstm_lm.train(small_config(*QUICK), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_processes_are_refused(small_config: Config) -> None:
    plan = Plan.new(TrainConfig.parse(small_config(*QUICK)))
    with pytest.raises(UserError, match="measures in one process, and several would train"), StopSignals() as signals:
        tune(plan, Team(0, 2), None, signals, time.time())


@pytest.mark.matrix
def test_several_processes_that_were_started_are_refused(small_config: Config, tmp_path: Path) -> None:
    several = ("device=ddp", "trainer.accelerator=cpu", "trainer.devices=2")
    with pytest.raises(UserError, match="measures in one process, and several would train"):
        lstm_lm.train(small_config(*QUICK, *several), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_tuning_nothing_is_left_and_nothing_said(small_config: Config, tmp_path: Path) -> None:
    summary = lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    assert summary.tuning is None
    assert not RunDirectory(tmp_path / "run").tuning.exists()


def test_settings_as_typed() -> None:
    from lstm_lm.training.tuning.options import as_typed

    compiled = Candidate("bf16-mixed", "fused", "max-autotune", 4).settings()
    assert as_typed(compiled) == "precision=bf16-mixed forward=fused compile=max-autotune runtime.threads=4"
    assert as_typed({"optimizer.lr": 0.003}) == "optimizer.lr=0.003"
