"""Cores that other processes keep busy are not counted on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import lstm_lm
from lstm_lm import limits
from lstm_lm.core_watch import CoreWatch
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import ALONE
from lstm_lm.training.runtime.free_cores import with_free_cores

Config = Callable[..., dict[str, Any]]


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(limits, "usable_cores", lambda: 4)


@pytest.mark.parametrize(
    ("free", "threads"), [(4.0, None), (3.6, None), (3.4, 3), (2.1, 2), (0.2, 1), (0.0, 1), (60.0, None)]
)
def test_a_run_takes_the_cores_that_are_free(
    free: float, threads: int | None, four_cores: None, small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CoreWatch, "free", lambda watch: free)
    found = with_free_cores(Plan.new(TrainConfig.parse(small_config())), ALONE).config
    assert found.runtime.threads == threads
    assert (found.threads_warning is None) == (threads is None)
    if threads is not None:
        assert f"{threads} of 4 cores" in str(found.threads_warning)
        assert "runtime.threads=4" in str(found.threads_warning)


def test_what_the_user_has_set_is_left_alone(
    four_cores: None, small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CoreWatch, "free", lambda watch: 0.0)
    asked = Plan.new(TrainConfig.parse(small_config("runtime.threads=3")))
    assert with_free_cores(asked, ALONE) is asked


def test_the_warning_reaches_the_summary_and_the_threads_reach_the_process(
    four_cores: None, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CoreWatch, "free", lambda watch: 2.0)
    taken: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", taken.append)
    summary = lstm_lm.train(small_config("trainer.max_steps=2"), tmp_path / "run")
    assert 2 in taken
    assert any("2 of 4 cores" in warning for warning in summary.runtime.warnings or [])


def test_a_resumed_run_keeps_its_number_and_does_not_look_again(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstm_lm.train(small_config("trainer.max_steps=2", "runtime.threads=1"), tmp_path / "run")
    last = tmp_path / "run/checkpoints/last.ckpt"
    assert checkpoint_file.load(last)["lstm_lm"]["resolved"]["threads"] == 1
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(limits, "usable_cores", lambda: 4)
    monkeypatch.setattr(CoreWatch, "free", lambda watch: pytest.fail("looked"))
    config = TrainConfig.parse(small_config("resume=auto", "trainer.max_steps=3"))
    plan = Plan.read(config, RunDirectory(tmp_path / "run"))
    assert isinstance(plan, Plan)
    resumed = with_free_cores(plan, ALONE).config
    assert (resumed.runtime.threads, resumed.threads_warning) == (1, None)


def test_who_has_looked_already_is_believed(
    four_cores: None, small_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CoreWatch, "free", lambda watch: pytest.fail("looked"))
    assert with_free_cores(Plan.new(TrainConfig.parse(small_config())), ALONE, 2.0).config.runtime.threads == 2
