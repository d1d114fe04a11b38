"""`budget=`: which times are taken, what it excludes, and which keys it leaves alone."""

from typing import Any

import pytest

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.tuning.budget_options import (
    AS_DROPOUT,
    CHOSEN,
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
        (("model=transformer",), "knows the sizes of model=lstm, gru and rnn, not those of model=transformer"),
        (("model=ffn",), "model=ffn"),
        (("model=autoencoder", "objective=reconstruction"), "model=autoencoder"),
    ],
)
def test_what_it_excludes_is_refused_in_a_line(overrides: tuple[str, ...], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        TrainConfig.parse(lstm_lm.compose("budget=10m", *overrides))
    assert "\n" not in str(caught.value)


def test_a_mapping_is_as_composition_makes_it() -> None:
    config = lstm_lm.compose("budget=10m")
    options = TrainConfig.parse(config).tune
    assert isinstance(options, BudgetOptions)
    assert (options.time, options.seconds, options.keep) == ("10m", 600, [])
    with pytest.raises(UserError, match=r"budget\.kept: no such key"):
        TrainConfig.parse({**config, "budget": {"time": "10m", "keep": [], "kept": []}})


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
    assert kept("data.unit=line") == {"data.batch_size", "data.seq_len"}
    assert kept("trainer.val_check_interval=0.5") == {
        "trainer.val_check_interval",
        "trainer.check_val_every_n_epoch",
    }


def test_a_dropout_that_is_set_in_any_way_is_the_one_that_counts() -> None:
    def fixed(*overrides: str) -> float | None:
        return fixed_dropout(lstm_lm.compose("budget=10m", *overrides))

    assert fixed() is None
    assert fixed("model.dropout=0.2") == 0.2
    assert fixed("model.layer_dropout=0.5") is None
    one_by_one = [f"{key}={p}" for key, p in zip(AS_DROPOUT, (0.1, 0.4, 0.4), strict=True)]
    assert fixed(*one_by_one) == pytest.approx(0.3)
