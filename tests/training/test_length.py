"""How often a run validates, from the `trainer` section."""

from typing import Any

import pytest

from lstm_lm.training.length import unreached_steps, windows_between_validations


@pytest.mark.parametrize(
    ("interval", "epochs", "expected"),
    [
        (None, 1, 200),
        (None, 3, 600),
        (50, 1, 50),
        (150, 1, 200),  # once an epoch
        (50, 2, 100),
        (500, None, 500),
        (0.1, 1, 20),
        (1.0, 1, 200),
        ("00:00:00:15", 1, 300),
    ],
)
def test_windows_between_validations(interval: Any, epochs: int | None, expected: float) -> None:
    trainer = {"val_check_interval": interval, "check_val_every_n_epoch": epochs}
    assert windows_between_validations(trainer, per_epoch=200, window=0.05) == pytest.approx(expected)


def test_steps_that_the_epochs_do_not_allow_are_told() -> None:
    told = unreached_steps({"max_epochs": 4, "max_steps": 5000}, 100)
    assert told is not None
    assert "400" in told
    assert unreached_steps({"max_epochs": 4, "max_steps": 400}, 100) is None
    assert unreached_steps({"max_epochs": -1, "max_steps": 5000}, 100) is None
    assert unreached_steps({"max_epochs": 4, "max_steps": -1}, 100) is None
