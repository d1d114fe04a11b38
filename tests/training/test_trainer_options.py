"""The `trainer` section: what Lightning would refuse later, or choke on, is refused at once."""

import os
import random
import threading
import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from quick_compose import compose

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.training.trainer_options import check_trainer

Config = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def section() -> dict[str, Any]:
    trainer: dict[str, Any] = compose("data=python_docs")["trainer"]
    return trainer


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("max_time", "banana", "max_time=banana: Lightning does not take it"),
        ("max_time", "00:99", "DD:HH:MM:SS"),
        ("max_time", {"parsecs": 1}, "parsecs"),
        ("max_time", 5, "days:hours:minutes:seconds"),
        ("max_time", timedelta(hours=8), "days:hours:minutes:seconds"),  # no checkpoint could hold it
        ("val_check_interval", timedelta(hours=8), "1 or more"),
        ("val_check_interval", 1.5, "1 or more"),
        ("val_check_interval", 0, "1 or more"),
        ("val_check_interval", -2, "1 or more"),
        ("val_check_interval", "often", "val_check_interval=often"),
        ("gradient_clip_algorithm", "foo", "norm or value"),
        ("gradient_clip_val", "foo", "a number"),
        ("strategy", "foo", "device=ddp"),
        ("strategy", "deepspeed", "choose one of: auto, ddp"),
        ("devices", "foo", "how many"),
        ("devices", 0, "how many"),
        ("num_nodes", 2, "num_nodes=1"),
        ("num_nodes", "2", "num_nodes=1"),
        ("limit_train_batches", -3, "1 or more"),
        ("limit_train_batches", 0, "1 or more"),
        ("limit_val_batches", -3, "0 or more"),
        ("limit_test_batches", 1.5, "0 or more"),
        ("limit_predict_batches", "all", "limit_predict_batches=null"),
        ("overfit_batches", -1, "0 or more"),
        ("fast_dev_run", -1, "a number of windows"),
        ("fast_dev_run", 0.5, "a number of windows"),
        ("profiler", "foo", "simple, advanced or pytorch"),
        ("deterministic", "foo", "true, false or warn"),
        ("benchmark", "foo", "true or false"),
        ("detect_anomaly", 1, "true or false"),
        ("enable_checkpointing", "never", "true or false"),
        ("reload_dataloaders_every_n_epochs", -1, "reload_dataloaders_every_n_epochs=0"),
        ("model_registry", 3, "model_registry=3"),
        ("max_steps", None, "must have a value"),
        ("log_every_n_steps", None, "must have a value"),
        ("accumulate_grad_batches", None, "must have a value"),
        ("gradient_clip_val", float("nan"), "finite"),
        ("barebones", True, "measures Lightning"),
        ("max_epoch", 3, "did you mean: max_epochs"),
    ],
)
def test_a_value_that_lightning_does_not_take(section: dict[str, Any], key: str, value: Any, told: str) -> None:
    with pytest.raises(UserError) as caught:
        check_trainer(section | {key: value})
    message = str(caught.value)
    assert message.startswith(f"trainer.{key}")
    assert told in message
    assert len(message.splitlines()) <= 4


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_time": "00:08:00:00"},
        {"max_time": {"hours": 8}},
        {"val_check_interval": 5},
        {"val_check_interval": 0.25},
        {"val_check_interval": "00:00:10:00"},
        {"val_check_interval": 500, "check_val_every_n_epoch": None},
        {"limit_val_batches": 0, "limit_train_batches": 0.5},
        {"fast_dev_run": True},
        {"fast_dev_run": 3},
        {"profiler": "pytorch"},
        {"devices": "0,1", "strategy": "ddp"},
        {"deterministic": "warn", "benchmark": False, "detect_anomaly": True},
        {"gradient_clip_val": None, "min_steps": 3, "num_sanity_val_steps": -1},
    ],
    ids=str,
)
def test_a_value_that_it_takes_is_passed_on(section: dict[str, Any], changes: dict[str, Any]) -> None:
    assert check_trainer(section | changes) == section | changes


def test_no_limit_of_epochs_is_none_for_lightning_either(section: dict[str, Any]) -> None:
    """Which sets one of its own, 1000, where max_epochs is null."""
    assert check_trainer(section | {"max_epochs": None})["max_epochs"] == -1


def test_a_whole_number_of_windows_may_be_written_as_a_float(section: dict[str, Any]) -> None:
    typed = {"limit_train_batches": 3.0, "overfit_batches": 2.0, "val_check_interval": 3.0, "limit_val_batches": 1.0}
    taken = check_trainer(section | typed)
    assert [repr(taken[key]) for key in typed] == ["3", "2", "3", "1.0"]


def test_values_that_exclude_each_other_are_told_as_lightning_tells_it(section: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^trainer: .* together:\n.*check_val_every_n_epoch=None") as caught:
        check_trainer(section | {"val_check_interval": 0.5, "check_val_every_n_epoch": None})
    assert len(str(caught.value).splitlines()) == 2


def test_checking_is_quick_silent_and_changes_nothing(
    section: dict[str, Any], capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every key set that sets something for the whole process once a trainer is made for training."""
    monkeypatch.chdir(tmp_path)
    telling = {"deterministic": True, "benchmark": True, "detect_anomaly": True, "fast_dev_run": True}
    telling |= {"max_epochs": None, "profiler": "advanced", "limit_val_batches": 1}

    def state() -> list[Any]:
        cudnn = torch.backends.cudnn
        return [
            dict(os.environ),
            random.getstate(),
            torch.get_rng_state().tolist(),
            torch.are_deterministic_algorithms_enabled(),
            torch.is_anomaly_enabled(),
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.get_float32_matmul_precision(),
            (cudnn.benchmark, cudnn.deterministic, cudnn.enabled),
            rank_zero_only.rank,
            warnings.filters[:],
            threading.active_count(),
        ]

    check_trainer(section)  # what is imported late is imported now
    capfd.readouterr()
    before = state()
    check_trainer(section | telling)
    with pytest.raises(UserError):
        check_trainer(section | {"max_time": "banana"})
    assert state() == before
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_read_before_the_section_is_checked(small_config: Config, tmp_path: Path) -> None:
    config = small_config("trainer.max_time=banana")
    config["data"]["path"] = str(tmp_path / "not there.txt")
    with pytest.raises(UserError, match=r"trainer\.max_time=banana"):
        lstm_lm.train(config, tmp_path / "run")


def test_a_validation_interval_longer_than_an_epoch(small_config: Config, tmp_path: Path) -> None:
    """43 windows are an epoch here."""
    with pytest.raises(UserError, match=r"has only 43 windows\n.*check_val_every_n_epoch=null"):
        lstm_lm.train(small_config("trainer.val_check_interval=44"), tmp_path / "run")
    with pytest.raises(UserError, match="has only 5 windows"):
        lstm_lm.train(small_config("trainer.val_check_interval=6", "trainer.limit_train_batches=5"), tmp_path / "run")
    config = small_config(
        "trainer.val_check_interval=44", "trainer.check_val_every_n_epoch=null", "trainer.max_steps=2"
    )
    assert lstm_lm.train(config, tmp_path / "run").status == "completed"
    assert lstm_lm.train(small_config("trainer.val_check_interval=43"), tmp_path / "other").status == "completed"
