"""What is proposed after a run can be typed, and means more of what there was too little of."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lstm_lm.training.advice import advice
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.judgement import Judgement, Kind

Config = Callable[..., dict[str, Any]]

FOUND = Judgement("level", 12, 4200, 1.5, 0.0, 0.01, 0.01, "doubling", 0.001)


@pytest.fixture
def proposed(small_config: Config) -> Callable[..., str | None]:
    def propose(kind: Kind, *settings: str, steps: int = 4200, **figures: Any) -> str | None:
        config = TrainConfig.parse(small_config(*settings))
        return advice(replace(FOUND, kind=kind, **figures), config, steps, steps_per_epoch=1050)

    return propose


Propose = Callable[..., str | None]


def test_a_longer_run_moves_the_limit_that_ended_it(proposed: Propose) -> None:
    epochs = ("trainer.max_epochs=4", "trainer.max_steps=-1")
    assert proposed("falling", *epochs) == "trainer.max_epochs=8"
    assert proposed("falling", "trainer.max_epochs=100", "trainer.max_steps=4200") == "trainer.max_steps=8400"
    both = proposed("falling", "trainer.max_epochs=5", "trainer.max_steps=4200")
    assert both == "trainer.max_steps=8400 trainer.max_epochs=-1", "or the other limit would end it"
    assert proposed("falling", *epochs, "trainer.max_time=00:00:10:00", steps=2000) == "trainer.max_time=00:00:20:00"


def test_a_budget_becomes_a_larger_one(small_config: Config) -> None:
    config = TrainConfig.parse(small_config(), tuned={"name": "budget", "time": "1.5h"})
    assert advice(replace(FOUND, kind="falling"), config, 4200, steps_per_epoch=1050) == "budget=3h"


def test_a_few_steps_become_enough(proposed: Propose) -> None:
    assert proposed("short", "trainer.max_epochs=100", "trainer.max_steps=40", steps=40) == "trainer.max_steps=400"
    assert proposed("short", "trainer.max_epochs=100", "trainer.max_steps=300", steps=300) == "trainer.max_steps=1100"


def test_overfitting_gets_dropout_and_patience(proposed: Propose) -> None:
    assert proposed("overfitted", "model.dropout=0.1") == "model.dropout=0.3, or callbacks.early_stopping.patience=3"
    assert proposed("overfitted", "model.dropout=0.5", "callbacks.early_stopping.patience=2") is None


def test_a_level_curve_gets_a_wider_model_where_training_is_no_further(proposed: Propose) -> None:
    assert proposed("level", "model.hidden_size=64", gap=0.0) == "model.hidden_size=128"
    assert proposed("level", "model.hidden_size=64", "model.dropout=0.0", gap=0.9) == "model.dropout=0.2"
    assert proposed("level", "model.hidden_size=[64,32]", "model.num_layers=2", gap=0.0) is None


def test_a_run_that_went_astray_gets_a_lower_rate(proposed: Propose) -> None:
    assert proposed("unstable", "optimizer.lr=0.01") == "optimizer.lr=0.005"
