"""What the environment says is read as if it had been typed."""

from typing import Any

import pytest
from omegaconf import OmegaConf

import lstm_lm
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.training.config import TrainConfig


def said(config: dict[str, Any], key: str) -> Any:
    value: Any = config
    for part in key.split("."):
        value = value[part]
    return value


NUMBERS = {
    "trainer.max_steps": ("3", 3),
    "trainer.max_epochs": ("-1", -1),
    "trainer.min_steps": ("2", 2),
    "trainer.accumulate_grad_batches": ("2", 2),
    "trainer.log_every_n_steps": ("7", 7),
    "trainer.limit_train_batches": ("0.5", 0.5),
    "trainer.limit_val_batches": ("2", 2),
    "trainer.overfit_batches": ("2", 2),
    "trainer.val_check_interval": ("0.25", 0.25),
    "trainer.check_val_every_n_epoch": ("2", 2),
    "trainer.num_sanity_val_steps": ("1", 1),
    "trainer.gradient_clip_val": ("null", None),
    "trainer.detect_anomaly": ("True", True),
    "seed": ("17", 17),
    "data.batch_size": ("4", 4),
    "data.validation_fraction": (".2", 0.2),
    "model.hidden_size": ("16", 16),
    "model.dropout": ("0", 0),
    "optimizer.lr": ("1e-3", 1e-3),
    "scheduler.warmup": ("0.1", 0.1),
    "runtime.threads": ("2", 2),
    "callbacks.samples.length": ("0", 0),
    "callbacks.checkpoint.every_n_minutes": ("1", 1),
    "logger.tensorboard": ("false", False),
}
"""By key: what the environment says, and what it stands for."""


@pytest.mark.parametrize("default", [False, True])
def test_a_number_of_the_environment_is_a_number(default: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []
    for number, (key, (text, _)) in enumerate(NUMBERS.items()):
        monkeypatch.setenv(f"FROM_OUTSIDE_{number}", text)
        asked = f"NOT_SET_ANYWHERE,{text}" if default else f"FROM_OUTSIDE_{number}"
        lines.append(f"{key}=${{oc.env:{asked}}}")
    config = lstm_lm.compose(*lines)
    for key, (_, value) in NUMBERS.items():
        found = said(config, key)
        assert (found, type(found)) == (value, type(value)), key
    TrainConfig.parse(config)


def test_what_goes_through_other_keys_is_a_number_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "2")
    config = lstm_lm.compose(
        "device=cpu", "device.devices=${oc.env:FROM_OUTSIDE}", "model.hidden_size=[8,${oc.env:FROM_OUTSIDE}]"
    )
    assert config["trainer"]["devices"] == 2
    assert config["model"]["hidden_size"] == [8, 2]


@pytest.mark.parametrize(
    "text", ["[1,2]", "{a: 1}", "1 2", "0x10", "1" * 400, "nan", "", "64-true", "${seed}", "!!int 3"]
)
def test_nothing_of_the_environment_becomes_anything_else(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", text)
    config = OmegaConf.create({"seed": 1, "value": "${oc.env:FROM_OUTSIDE}"})
    assert plain_config(config) == {"seed": 1, "value": text}


def test_a_text_stays_a_text_and_the_configuration_as_it_was_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book may be called 1984; and the record of a run keeps what was typed."""
    monkeypatch.setenv("FROM_OUTSIDE", "1984")
    asked = "${oc.env:FROM_OUTSIDE}"
    config = OmegaConf.create({"seed": asked, "init_from": asked, "data": {"path": [asked], "test_path": asked}})
    before = OmegaConf.to_yaml(config)
    assert plain_config(config) == {"seed": 1984, "init_from": "1984", "data": {"path": ["1984"], "test_path": "1984"}}
    assert OmegaConf.to_yaml(config) == before
