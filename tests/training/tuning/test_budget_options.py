"""`budget=`: which times are taken, what it excludes, and which keys it leaves alone."""

from typing import Any

import pytest

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.flat_keys import at
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.tuning.budget_options import (
    AS_DROPOUT,
    CHOSEN,
    SIZES,
    BudgetOptions,
    fixed_dropout,
    is_kept,
    seconds_of,
)


@pytest.mark.parametrize(
    ("time", "seconds"), [("30s", 30), ("10m", 600), ("1.5h", 5_400), (" 2 m ", 120), ("0.5s", 0.5)]
)
def test_a_time_has_a_unit(time: str, seconds: float) -> None:
    assert seconds_of(time) == seconds


@pytest.mark.parametrize(
    "typed",
    [
        "0",
        "5",
        "-3m",
        "nonsense",
        "1e99h",
        "0s",
        "1e3s",
        "10 minutes",
        "999999h",
        "true",
        "[1m]",
        "1m30s",
        "a" * 999,
    ],
)
def test_no_time_is_refused_with_what_to_type(typed: str) -> None:
    with pytest.raises(UserError, match=r"^budget=.*type a number and its unit") as caught:
        TrainConfig.parse(lstm_lm.compose(f"budget={typed}"))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("tune=speed",), "budget=10m and tune=speed exclude each other"),
        (("tune=lr",), "budget=10m and tune=lr exclude each other"),
        (
            ("trainer.max_epochs=4",),
            r"budget=10m and trainer\.max_epochs exclude each other: budget= chooses the length",
        ),
        (("trainer.max_steps=10",), r"trainer\.max_steps exclude"),
        (("trainer.max_time=00:00:10:00",), r"trainer\.max_time exclude"),
        (("trainer.min_steps=10",), r"trainer\.min_steps exclude"),
        (("trainer.fast_dev_run=true",), r"trainer\.fast_dev_run exclude"),
        (("trainer.overfit_batches=2",), r"trainer\.overfit_batches exclude"),
        (("model=transformer",), "knows the sizes of model=lstm, gru and rnn, not those of model=transformer"),
        (("model=ffn",), "model=ffn"),
        (("model=autoencoder", "objective=reconstruction"), "model=autoencoder"),
    ],
)
def test_what_it_excludes_is_refused_in_a_line(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        TrainConfig.parse(lstm_lm.compose("budget=10m", *overrides))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("typed", "sizes"),
    [
        (("model.hidden_size=[64,48,32]",), ([64, 48, 32], 3, 64)),
        (("model.hidden_size=[64]",), ([64], 1, 64)),
        (("model.tie_weights=true",), (160, 2, 160)),
        (("model.tie_weights=true", "model.embedding_size=96"), (96, 2, 96)),
        (("model.tie_weights=true", "model.hidden_size=[64,32]"), ([64, 32], 2, 32)),
    ],
)
def test_open_sizes_follow_from_the_kept_ones(typed: tuple[str, ...], sizes: tuple[Any, ...]) -> None:
    plain = TrainConfig.parse(lstm_lm.compose("budget=10m", *typed)).plain
    assert tuple(at(plain, key) for key in SIZES) == sizes


def test_sizes_that_contradict_each_other_are_refused_as_without() -> None:
    config = lstm_lm.compose("budget=10m", "model.tie_weights=true", "model.embedding_size=64", "model.hidden_size=32")
    with pytest.raises(UserError, match=r"tie_weights=true needs embedding_size=64"):
        TrainConfig.parse(config)


def test_a_mapping_is_as_composition_makes_it() -> None:
    config = lstm_lm.compose("budget=10m")
    options = TrainConfig.parse(config).tune
    assert isinstance(options, BudgetOptions)
    assert (options.time, options.seconds, options.keep) == ("10m", 600, [])
    with pytest.raises(UserError, match=r"budget\.kept: no such key"):
        TrainConfig.parse({**config, "budget": {"time": "10m", "keep": [], "kept": []}})
    with pytest.raises(UserError, match=r"budget\.keep=\['model\.width'\]: budget= never chooses that"):
        TrainConfig.parse({**config, "budget": {"time": "10m", "keep": ["model.width"]}})


def kept(*overrides: str, **changes: Any) -> set[str]:
    config = {**lstm_lm.compose("budget=10m", *overrides), **changes}
    return {key for key in CHOSEN if is_kept(config, key)}


def test_without_typed_keys_all_is_open() -> None:
    assert kept() == set()
    assert kept(budget="10m") == set(), "in Python nobody knows who has set what"
    assert is_kept(lstm_lm.compose("budget=10m"), "seed")


def test_typed_keys_are_kept_and_whatever_follows_from_them() -> None:
    assert kept("model.hidden_size=64", "optimizer.lr=1e-3") == {"model.hidden_size", "optimizer.lr"}
    assert kept("model.dropout=0.2") == {"model.dropout", *AS_DROPOUT}
    assert kept(*(f"{key}=0.2" for key in AS_DROPOUT)) == {"model.dropout", *AS_DROPOUT}
    assert kept("data.unit=line") == {"data.batch_size", "data.seq_len"}
    assert kept("trainer.val_check_interval=0.5") == {
        "trainer.val_check_interval",
        "trainer.check_val_every_n_epoch",
    }


def test_a_dropout_that_is_set_in_any_way_is_the_one_that_counts() -> None:
    def fixed(*overrides: str) -> float | None:
        return fixed_dropout(lstm_lm.compose("budget=10m", *overrides))

    assert fixed() is None
    assert fixed("model.dropout=0.2") == pytest.approx(0.2)
    assert fixed("model.dropout=0.2", "model.layer_dropout=0.5") == pytest.approx(0.3)
    assert fixed("model.layer_dropout=0.5") is None
    one_by_one = [f"{key}={p}" for key, p in zip(AS_DROPOUT, (0.1, 0.4, 0.4), strict=True)]
    assert fixed(*one_by_one) == pytest.approx(0.3)
