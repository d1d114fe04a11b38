"""What two runs were told differently."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from run_folders import make_run

from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.configuration import ABSENT, differences, read_config

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.lists(st.integers(), max_size=2))
configs = st.dictionaries(st.sampled_from("abcd"), st.one_of(leaves, st.dictionaries(st.sampled_from("xyz"), leaves)))


def pairs(*found: dict[str, Any]) -> dict[str, list[str]]:
    return {row.key: row.values for row in differences(found)}


def test_each_key_that_differs_with_its_values() -> None:
    one = {"seed": 1, "model": {"name": "lstm", "hidden_size": [64, 32], "dropout": 0.1}, "init_from": None}
    other = {"seed": 1, "model": {"name": "gru", "hidden_size": 64, "dropout": 0.1}, "init_from": "a b", "data": {}}
    assert pairs(one, other) == {
        "model.name": ["lstm", "gru"],
        "model.hidden_size": ["[64, 32]", "64"],
        "init_from": ["null", "a b"],
        "data": [ABSENT, "{}"],
    }


def test_three_runs() -> None:
    assert pairs({"a": 1, "b": 1}, {"a": 1, "b": 1}, {"a": 2, "b": 1}) == {"a": ["1", "1", "2"]}


@given(configs)
def test_a_configuration_does_not_differ_from_itself(config: dict[str, Any]) -> None:
    assert pairs(config, config) == {}


@given(configs, configs)
def test_differing_is_mutual(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert pairs(one, other) == {key: values[::-1] for key, values in pairs(other, one).items()}


def test_interpolations_are_compared_by_what_they_stand_for(tmp_path: Path) -> None:
    one = make_run(tmp_path / "a", config="seed: 3\nmodel: {seed: '${seed}'}\n")
    other = make_run(tmp_path / "b", config="seed: 3\nmodel: {seed: 3}\n")
    assert pairs(read_config(one), read_config(other)) == {}


def test_one_that_cannot_be_resolved_is_compared_as_it_is_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", config="seed: '${unheard_of:1}'\n")
    assert read_config(run) == {"seed": "${unheard_of:1}"}


def test_a_run_from_python_has_its_configuration_in_its_checkpoint(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    checkpoint_file.save({checkpoint_file.SECTION: {"schema_version": 1, "config": {"seed": 5}}}, run.best)
    assert read_config(run) == {"seed": 5}


@pytest.mark.parametrize("config", [None, "a: [1", "- 1\n- 2\n", "a: \x01"])
def test_what_cannot_be_read_is_told(config: str | None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_config(make_run(tmp_path / "a", config=config))
