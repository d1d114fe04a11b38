"""Points of curves, over what a person asks for."""

from pathlib import Path

import pytest
from run_folders import make_run

from lstm_lm.errors import UserError
from lstm_lm.runs.curves import Curve, read_curves
from lstm_lm.runs.directory import RunDirectory

METRICS = {
    10: {"train/loss": 3.0, "epoch": 0.5},
    20: {"train/loss": 2.5, "epoch": 0.75, "train/step_ms": 100.0},
    30: {"val/loss": 2.0, "val/bits_per_byte": 1.0},
    40: {"train/loss": 1.5, "epoch": 1.5, "train/step_ms": 50.0},
    50: {"val/loss": 1.8},
}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """Of 1,000 training tokens."""
    return make_run(tmp_path / "run", metrics=METRICS)


def test_over_steps(run: RunDirectory) -> None:
    assert read_curves(run, "loss", "steps") == {
        "train": Curve([10, 20, 40], [3.0, 2.5, 1.5]),
        "val": Curve([30, 50], [2.0, 1.8]),
    }


def test_over_tokens(run: RunDirectory) -> None:
    """Forty steps read the text one and a half times: 37.5 tokens a step."""
    found = read_curves(run, "loss", "tokens")
    assert found["train"].x == [375, 750, 1500]
    assert found["val"].x == [1125, 1875]


def test_the_window_that_is_left_at_the_end_of_an_epoch_is_not_in_the_curve(tmp_path: Path) -> None:
    rows = {
        10: {"train/loss": 3.0, "epoch": 0.5},
        20: {"train/loss": 0.1, "epoch": 1.0, "train/step_ms": 9.0, "val/loss": 2.0},
        30: {"train/loss": 2.5, "epoch": 1.5},
    }
    run = make_run(tmp_path / "ragged", metrics=rows)
    assert read_curves(run, "loss", "steps") == {"train": Curve([10, 30], [3.0, 2.5]), "val": Curve([20], [2.0])}
    assert read_curves(run, "step_ms", "steps") == {"train": Curve([20], [9.0])}
    only = make_run(tmp_path / "ends", metrics={20: {"train/loss": 3.0, "epoch": 1.0}})
    assert read_curves(only, "loss", "steps")["train"].x == [20]


def test_over_seconds(tmp_path: Path) -> None:
    """As logged, and evenly between two rows; a start that compiles counts."""
    rows = {
        10: {"train/loss": 3.0, "train/seconds": 60.0},
        15: {"val/loss": 2.0},
        20: {"train/loss": 2.5, "train/seconds": 62.0, "train/step_ms": 100.0},
    }
    found = read_curves(make_run(tmp_path / "timed", metrics=rows), "loss", "seconds")
    assert found == {"train": Curve([60.0, 62.0], [3.0, 2.5]), "val": Curve([61.0], [2.0])}


def test_a_metric_of_one_split(run: RunDirectory) -> None:
    assert read_curves(run, "bits_per_byte", "steps") == {"val": Curve([30], [1.0])}


def test_a_metric_that_is_not_there_names_those_that_are(run: RunDirectory) -> None:
    with pytest.raises(UserError, match=r"train/looss or val/looss there\nknown: bits_per_byte, loss, step_ms"):
        read_curves(run, "looss", "steps")


def test_what_is_not_known_is_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "untimed", metrics={1: {"val/loss": 1.0}})
    with pytest.raises(UserError, match="over=steps or over=tokens"):
        read_curves(run, "loss", "seconds")
    with pytest.raises(UserError, match="over=steps or over=seconds"):
        read_curves(run, "loss", "tokens")
    with pytest.raises(UserError, match="logged nothing"):
        read_curves(make_run(tmp_path / "empty", metrics={}), "loss", "steps")
