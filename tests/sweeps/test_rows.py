"""A row is known by the hash of its configuration; rows of a repetition run in an order of their own."""

import hashlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from test_arms import study

import lstm_lm
from lstm_lm.runs.code_version import code_version
from lstm_lm.sweeps import rows as rows_module
from lstm_lm.sweeps.inputs import InputDigests, changed_since
from lstm_lm.sweeps.records import differences
from lstm_lm.sweeps.rows import Row, folder_of, make_plan, row_identity, row_key
from lstm_lm.sweeps.schedule import interleaved, remaining_seconds

CONFIG: dict[str, Any] = {
    "seed": 1,
    "resume": "never",
    "data": {"name": "text", "path": "a.txt", "cache_dir": None},
    "model": {"hidden_size": [8, 4], "dropout": 0.1},
}


def shuffled(config: dict[str, Any]) -> dict[str, Any]:
    """The same with its keys in another order."""
    keys = list(config)
    random.Random(3).shuffle(keys)
    return {key: shuffled(config[key]) if isinstance(config[key], dict) else config[key] for key in reversed(keys)}


def compose(lines: Sequence[str], config_name: str = "train") -> dict[str, Any]:
    """A stand-in for Hydra: the overrides are the configuration."""
    return {"seed": 1, **dict(line.split("=") for line in lines)}


TEXT = {"text train": "a" * 64}


def test_the_hash_does_not_depend_on_the_order_of_keys_or_on_where_things_lie() -> None:
    moved = {**CONFIG, "resume": "auto", "data": {**CONFIG["data"], "cache_dir": "/elsewhere", "path": "b.txt"}}
    assert row_key(CONFIG, TEXT) == row_key(shuffled(CONFIG), TEXT) == row_key(moved, TEXT)


def test_the_hash_depends_on_everything_that_is_run() -> None:
    others: list[dict[str, Any]] = [
        {**CONFIG, "seed": 2},
        {**CONFIG, "data": {**CONFIG["data"], "encoding": "latin-1"}},
        {**CONFIG, "model": {**CONFIG["model"], "hidden_size": [4, 8]}},
        {**CONFIG, "study": "more"},
    ]
    keys = {row_key(config, TEXT) for config in [CONFIG, *others]}
    keys |= {row_key(CONFIG, inputs) for inputs in ({"text train": "b" * 64}, {**TEXT, "init_from": "a" * 64})}
    assert len(keys) == 1 + len(others) + 2


def test_the_hash_depends_on_the_code_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    before = row_key(CONFIG, TEXT)
    monkeypatch.setattr(rows_module, "code_version", lambda: code_version() | {"source": "edited"})
    assert row_key(CONFIG, TEXT) != before


def test_texts_that_are_not_there_are_told_apart_by_where_they_should_be() -> None:
    elsewhere = {**CONFIG, "data": {**CONFIG["data"], "path": "b.txt"}}
    assert row_key(CONFIG, {}) != row_key(elsewhere, {})


def of_text(path: Path, **more: Any) -> dict[str, Any]:
    data = lstm_lm.compose("data=text", f"data.path={path}", f"data.cache_dir={path.parent / 'cache'}")["data"]
    return {"seed": 1, "data": data, **more}


def test_a_row_is_of_the_content_of_its_text_and_weights(tmp_path: Path) -> None:
    """Expected digests are hashlib's own."""
    text, weights = tmp_path / "text.txt", tmp_path / "weights.ckpt"
    text.write_text("to be or not to be")
    weights.write_bytes(b"once")
    inputs = InputDigests().of(of_text(text, init_from=str(weights), ckpt_path=None))
    assert inputs == {
        "text train": hashlib.sha256(b"to be or not to be").hexdigest(),
        "init_from": hashlib.sha256(b"once").hexdigest(),
    }
    text.write_text("to be or not to me")
    weights.write_bytes(b"more")
    assert changed_since(inputs, of_text(text, init_from=str(weights))) == ["text train", "init_from"]


def test_a_validation_text_belongs_to_the_row(tmp_path: Path) -> None:
    for name in ("train.txt", "valid.txt"):
        (tmp_path / name).write_text(f"what {name} says")
    config = of_text(tmp_path / "train.txt")
    config["data"]["validation_path"] = str(tmp_path / "valid.txt")
    before = InputDigests().of(config)
    assert list(before) == ["text train", "text validation"]
    (tmp_path / "valid.txt").write_text("something else")
    assert changed_since(before, config) == ["text validation"]


def test_a_step_that_reads_a_text_of_its_own_is_known_by_it(tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    config = of_text(text)

    def composed(lines: Sequence[str], config_name: str = "train") -> dict[str, Any]:
        own = dict(line.split("=") for line in lines)
        return config if config_name == "train" else {"data": {"name": None, "path": own["data.path"].strip("'")}}

    steps = {"there": {"verb": "evaluate", "settings": {"data.path": str(text)}, "like_row": []}}
    keys = []
    for content in ("one text", "another text"):
        text.write_text(content)
        [first, *_] = make_plan(study(steps=steps), {}, composed).rows
        keys.append(first.steps[0].key)
    assert keys[0] != keys[1]


def test_in_what_two_rows_differ_is_named() -> None:
    then = row_identity(CONFIG, TEXT)
    assert differences(then, then) == []
    now = row_identity({**CONFIG, "seed": 2, "model": {**CONFIG["model"], "name": "gru"}}, {"text train": "b" * 64})
    assert differences(then, now) == [
        "model.name: None then, gru now",
        "seed: 1 then, 2 now",
        f"text train: {'a' * 12} then, {'b' * 12} now",
    ]


def test_what_only_shows_and_keeps_counts_where_a_study_compares_it() -> None:
    more = {**CONFIG, "callbacks": {"samples": {"length": 0}}, "logger": {"csv": True}}
    assert row_key(more, TEXT) == row_key(CONFIG, TEXT)
    assert row_key(more, TEXT, {"callbacks.samples.length"}) != row_key(CONFIG, TEXT)
    assert row_key(more, TEXT, {"logger"}) != row_key(CONFIG, TEXT)


def test_each_configuration_is_one_row_though_two_arms_meet_in_it() -> None:
    arms = {
        "layers": {"settings": {}, "sweep": {"model.num_layers": [1, 2]}},
        "threads": {"settings": {"model.num_layers": 2}, "sweep": {"runtime.threads": [1, 2]}},
        "again": {"settings": {"model.num_layers": 2}, "sweep": {}},
    }
    plan = make_plan(study(arms=arms), {}, compose)
    assert [row.label for row in plan.rows] == [
        "model.num_layers=1",
        "model.num_layers=2",
        "model.num_layers=2 runtime.threads=1",
        "model.num_layers=2 runtime.threads=2",
    ]


def test_each_row_is_compared_with_the_one_that_is_alike_but_for_the_baselines_settings() -> None:
    arms = {
        "one_core": {"settings": {"forward": "fused", "runtime.threads": 1}, "sweep": {"model.num_layers": [1, 2]}},
        "all_cores": {"settings": {}, "sweep": {"forward": ["fused", "pipelined"], "model.num_layers": [1, 2]}},
    }
    baselines = {"one core": {"forward": "fused", "runtime.threads": 1}, "one layer": {"forward": "fused"}}
    plan = make_plan(study(arms=arms, baselines=baselines), {"seed": ["seed=1"]}, compose)
    row = next(row for row in plan.rows if row.label == "forward=pipelined model.num_layers=2")
    found = {name: other.label for name in baselines if (other := plan.baseline(name, row)) is not None}
    assert found == {
        "one core": "forward=fused runtime.threads=1 model.num_layers=2",
        "one layer": "forward=fused model.num_layers=2",
    }


def test_repetitions_differ_in_their_seeds_alone() -> None:
    row = make_plan(study(), {"seed": ["seed=5"]}, lambda lines: {**compose(lines), "seed": 5}).rows[0]
    assert row.arguments(1)[-1] == "seed=5"
    assert row.arguments(3) == [*row.arguments(1)[:-1], "seed=7"]


def test_a_row_finds_its_folder_whatever_it_is_called_now(tmp_path: Path) -> None:
    row = make_plan(study(), {}, compose).rows[0]
    (tmp_path / f"called_otherwise_{row.key}").mkdir()
    assert folder_of(row, tmp_path).name == f"called_otherwise_{row.key}"


def rows(count: int) -> list[Row]:
    return [Row("a", {}, {"n": str(number)}, 1, f"{number:012}", {}) for number in range(count)]


def test_every_repetition_runs_every_row_once_in_an_order_of_its_own() -> None:
    turns = interleaved(rows(8), 3, seed=1)
    orders = [[turn.row.key for turn in turns if turn.repetition == number] for number in (1, 2, 3)]
    assert [turn.repetition for turn in turns] == [1] * 8 + [2] * 8 + [3] * 8
    assert all(sorted(order) == [row.key for row in rows(8)] for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert turns == interleaved(rows(8), 3, seed=1) != interleaved(rows(8), 3, seed=2)


def test_the_rest_is_estimated_from_each_rows_own_time_where_it_is_known() -> None:
    one, two, three = rows(3)
    turns = interleaved([one, two, three], 1, seed=1)
    assert remaining_seconds(turns, {}) is None
    assert remaining_seconds(turns, {one.key: [10.0, 30.0, 20.0], two.key: [4.0]}) == 20.0 + 4.0 + 12.0
