"""What is proposed after a run can be typed, and means more of what there was too little of."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lstm_lm.models.build import build_model
from lstm_lm.training.advice import advice
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.judgement import Judgement, Kind
from lstm_lm.training.tuning.budget_options import twice

Config = Callable[..., dict[str, Any]]

FOUND = Judgement("level", 12, 4200, 1.5, 0.0, 0.01, 0.01, "doubling", 0.001)


@pytest.fixture
def proposed(small_config: Config) -> Callable[..., str | None]:
    def propose(kind: Kind, *settings: str, steps: int = 4200, parameters: int = 100_000, **figures: Any) -> str | None:
        config = TrainConfig.parse(small_config(*settings))
        judged = replace(FOUND, kind=kind, **figures)
        return advice(judged, config, steps, steps_per_epoch=1050, parameters=parameters, tokens=1_000_000)

    return propose


Propose = Callable[..., str | None]


def test_a_longer_run_moves_the_limit_that_ended_it(proposed: Propose) -> None:
    epochs = ("trainer.max_epochs=4", "trainer.max_steps=-1")
    assert proposed("falling", *epochs) == "trainer.max_epochs=8"
    assert proposed("falling", "trainer.max_epochs=100", "trainer.max_steps=4200") == "trainer.max_steps=8400"
    both = proposed("falling", "trainer.max_epochs=5", "trainer.max_steps=4200")
    assert both == "trainer.max_steps=8400 trainer.max_epochs=-1", "or the other limit would end it"
    assert proposed("falling", *epochs, "trainer.max_time=00:00:10:00", steps=2000) == "trainer.max_time=00:00:20:00"


def test_a_short_run_that_learns_by_heart_is_not_to_go_on(proposed: Propose) -> None:
    """A small text is learnt in fewer steps than tell much of a curve."""
    assert proposed("short", steps=128, rise=0.2, gap=2.0) == "model.dropout=0.2"
    limits = ("trainer.max_epochs=100", "trainer.max_steps=128")
    assert "max_steps" in str(proposed("short", *limits, steps=128, rise=0.0, gap=2.0))


@pytest.mark.parametrize("scheduler", ["constant", "step", "plateau"])
def test_where_no_schedule_has_ended_the_run_goes_on(proposed: Propose, scheduler: str) -> None:
    epochs = (f"scheduler={scheduler}", "trainer.max_epochs=4", "trainer.max_steps=-1")
    assert proposed("falling", *epochs) == "trainer.max_epochs=8 resume=auto"


def test_a_budget_becomes_a_larger_one(small_config: Config) -> None:
    config = TrainConfig.parse(small_config(), tuned={"name": "budget", "time": "1.5h"})
    judged = replace(FOUND, kind="falling")
    assert advice(judged, config, 4200, steps_per_epoch=1050, parameters=1, tokens=1) == "budget=3h"


def test_a_budget_is_doubled_in_its_own_unit() -> None:
    assert [twice(time) for time in ("40s", "10 m", "0.5h", "2500000s")] == ["80s", "20m", "1h", "5000000s"]


def test_where_no_limit_ended_the_run_none_is_moved(proposed: Propose) -> None:
    """Of 100 epochs two were trained: max_epochs=4 would end it sooner than it was allowed to go."""
    stopping = ("trainer.max_epochs=100", "trainer.max_steps=-1", "callbacks.early_stopping.patience=2")
    assert proposed("short", *stopping, steps=2100) == "callbacks.early_stopping.patience=4"
    assert proposed("level", *stopping, steps=2100) == "callbacks.early_stopping.patience=4", "the rate never decayed"
    assert proposed("falling", "trainer.max_epochs=100", "trainer.max_steps=-1", steps=2100) is None, "a callback did"


def test_a_trial_of_one_window_gets_no_advice(proposed: Propose) -> None:
    assert proposed("short", "trainer.fast_dev_run=true", steps=1) is None


def test_too_few_validations_become_more_where_there_are_any(proposed: Propose) -> None:
    assert proposed("unclear", validations=2) == "trainer.val_check_interval=0.25"
    assert (
        proposed("unclear", "trainer.check_val_every_n_epoch=3", validations=2) == "trainer.check_val_every_n_epoch=1"
    )
    assert proposed("unclear", "trainer.limit_val_batches=0", validations=0) is None
    assert proposed("unclear", validations=12) is None, "noise does not get less by looking more often"


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


def test_a_wider_model_is_proposed_only_while_parameters_are_few_for_the_text(proposed: Propose) -> None:
    wider = [proposed("level", "model.hidden_size=64", gap=0.0, parameters=4**power) for power in range(8, 16)]
    assert wider[0] is not None
    assert wider[-1] is None
    assert sorted(wider, key=lambda typed: typed is None) == wider, "once they are many, more are too many"


@pytest.mark.parametrize(
    "settings",
    [("model.hidden_size=8", "model.embedding_size=8", "model.tie_weights=true"), ("model=transformer",)],
    ids=["tied weights", "transformer"],
)
def test_a_wider_model_is_one_that_can_be_built(
    proposed: Propose, small_config: Config, settings: tuple[str, ...]
) -> None:
    typed = proposed("level", *settings, gap=0.0)
    assert typed is not None
    wider = TrainConfig.parse(small_config(*settings, *typed.split()))
    build_model(wider.top.model, vocabulary_size=10)


def test_a_run_that_went_astray_gets_a_lower_rate(proposed: Propose) -> None:
    assert proposed("unstable", "optimizer.lr=0.01") == "optimizer.lr=0.005"
