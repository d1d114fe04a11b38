"""Which keys a person has set, carried along with `budget=`."""

from pathlib import Path
from typing import Any

from cli_commands import Here, StandIn

import lstm_lm


def kept(*overrides: str) -> list[str]:
    keep: list[str] = lstm_lm.compose("budget=10m", *overrides)["budget"]["keep"]
    return keep


def test_without_a_budget_nothing_is_carried() -> None:
    assert lstm_lm.compose("model.hidden_size=64")["budget"] is None


def test_typed_keys_are_kept_even_with_the_value_that_they_had() -> None:
    as_it_is = lstm_lm.compose()["model"]["num_layers"]
    assert kept("model.hidden_size=64", f"model.num_layers={as_it_is}") == ["model.hidden_size", "model.num_layers"]
    assert kept("++trainer.max_epochs=3") == ["trainer.max_epochs"]


def test_the_choice_of_an_option_sets_no_key() -> None:
    assert kept("model=gru", "optimizer=sgd", "seed=3", "callbacks.samples.length=0") == []


def test_a_mapping_sets_each_of_its_keys() -> None:
    assert kept("++model={hidden_size: 64, num_layers: 1}") == ["model.hidden_size", "model.num_layers"]


def test_a_recipe_sets_what_it_changes_but_not_the_length() -> None:
    found = kept("experiment=shakespeare_quick")
    assert {"model.hidden_size", "model.num_layers", "model.embedding_size", "data.seq_len", "optimizer.lr"} <= {*found}
    assert "trainer.max_epochs" not in found
    assert "model.dropout" not in found
    assert "trainer.max_epochs" in kept("experiment=shakespeare_quick", "trainer.max_epochs=5")


def test_a_command_and_each_job_of_a_sweep_carry_their_own(stand_in: StandIn, here: Here, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a text\n" * 100)
    typed = ("data=text", f"data.path={text}", "budget=10m")
    assert here("train", *typed, "model.hidden_size=64").status == 0
    assert budgets(stand_in) == [{"time": "10m", "keep": ["model.hidden_size"]}]
    said = here("train", "experiment=shakespeare_quick", "budget=10m")
    assert said.status == 0, said.err
    assert "model.hidden_size" in budgets(stand_in)[-1]["keep"]
    swept = here("train", "-m", *typed, "model.num_layers=1,2", "model.dropout=0.1")
    assert swept.status == 0, swept.err
    assert budgets(stand_in)[-2:] == [{"time": "10m", "keep": ["model.dropout", "model.num_layers"]}] * 2


def budgets(stand_in: StandIn) -> list[Any]:
    return [config["budget"] for config, _, _ in stand_in.calls]
