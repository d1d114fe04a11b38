"""A row is known by the hash of its configuration; rows of a repetition run in an order of their own."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from test_arms import study

from lstm_lm.studies.rows import Row, folder_of, make_plan, row_key
from lstm_lm.studies.schedule import interleaved, remaining_seconds

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


def test_the_hash_does_not_depend_on_the_order_of_keys_or_on_where_things_lie() -> None:
    moved = {**CONFIG, "resume": "auto", "data": {**CONFIG["data"], "cache_dir": "/elsewhere"}}
    assert row_key(CONFIG) == row_key(shuffled(CONFIG)) == row_key(moved)


def test_the_hash_depends_on_everything_that_is_run() -> None:
    others: list[dict[str, Any]] = [
        {**CONFIG, "seed": 2},
        {**CONFIG, "data": {**CONFIG["data"], "path": "b.txt"}},
        {**CONFIG, "model": {**CONFIG["model"], "hidden_size": [4, 8]}},
        {**CONFIG, "study": "more"},
    ]
    assert len({row_key(config) for config in [CONFIG, *others]}) == len(others) + 1


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
