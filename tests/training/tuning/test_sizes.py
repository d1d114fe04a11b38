"""Which sizes `budget=` thinks of; keys that a person has set do not vary."""

from typing import Any

import pytest

import lstm_lm
from lstm_lm.models.build import build_model
from lstm_lm.training.tuning.sizes import Size, shape, sizes

V = 65


def tried(*overrides: str, seconds: float = 600.0) -> list[Size]:
    return sizes(lstm_lm.compose("budget=10m", *overrides), V, seconds)


def values(found: list[Size], key: str) -> set[Any]:
    return {size.settings()[f"model.{key}"] for size in found}


def test_every_width_with_every_number_of_layers() -> None:
    found = tried()
    assert len(found) == len(set(found)) == 7 * 3
    assert values(found, "num_layers") == {1, 2, 3}
    assert max(values(found, "embedding_size")) == 128
    assert found == sorted(found, key=lambda size: size.products)


def test_the_widest_is_for_hours() -> None:
    assert max(values(tried(), "hidden_size")) == 512
    assert max(values(tried(seconds=7_200), "hidden_size")) == 768


@pytest.mark.parametrize(
    ("typed", "key", "value"),
    [("model.hidden_size=100", "hidden_size", 100), ("model.num_layers=5", "num_layers", 5)],
)
def test_what_is_set_does_not_vary(typed: str, key: str, value: int) -> None:
    assert values(tried(typed), key) == {value}


def test_widths_of_their_own_are_one_size() -> None:
    [found] = tried("model.hidden_size=[64,32]", "model.num_layers=2")
    assert found.settings() == {
        "model.hidden_size": [64, 32],
        "model.num_layers": 2,
        "model.embedding_size": 32,
    }


def test_tied_weights_are_as_wide_as_the_layer_below() -> None:
    assert all(size.embedding == size.width for size in tried("model.tie_weights=true", "model.embedding_size=64")[:1])
    found = tried("model.tie_weights=true")
    assert {size.width for size in found} == {size.embedding for size in found}
    assert values(tried("model.tie_weights=true", "model.embedding_size=200"), "hidden_size") == {200}


def test_each_of_several_devices_has_a_layer() -> None:
    assert values(tried("forward=pipelined", "forward.devices=[cpu,cpu]"), "num_layers") == {2, 3}
    assert values(tried("forward=pipelined", "forward.devices=[cpu,cpu,cpu,cpu]"), "num_layers") == {4}


def test_weights_that_are_there_have_their_sizes() -> None:
    [found] = tried("init_from=somewhere")
    assert found.settings() == {"model.hidden_size": 160, "model.num_layers": 2, "model.embedding_size": 64}


@pytest.mark.parametrize("model", ["lstm", "gru", "rnn"])
def test_parameters_are_the_models(model: str) -> None:
    config = lstm_lm.compose("budget=10m", f"model={model}")
    size = tried(f"model={model}")[0]
    settings = {key.partition(".")[2]: value for key, value in size.settings().items()}
    assert build_model({**config["model"], **settings}, V).num_parameters() == size.parameters
    assert size.products == size.parameters - V * size.embedding


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [(10**6, (32, 64)), (20_000, (16, 64)), (3_000, (4, 64)), (100, (4, 25)), (3, (3, 1)), (1, (1, 1))],
)
def test_a_short_text_has_fewer_and_shorter_streams(tokens: int, expected: tuple[int, int]) -> None:
    assert shape(tokens) == expected
    assert expected[0] * expected[1] <= tokens


def test_what_is_set_of_it_stays_and_the_other_fits() -> None:
    assert shape(200, streams=64) == (64, 3)
    assert shape(200, window=100) == (2, 100)
    assert shape(100_000, window=512) == (8, 512)
    assert shape(10**6, streams=8, window=16) == (8, 16)
