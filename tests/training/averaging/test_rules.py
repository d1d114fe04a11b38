"""When averages begin and how much each step counts, by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.training.averaging import build_averaging
from lstm_lm.training.averaging.interface import Averaging
from lstm_lm.training.weight_average import WeightAverage

SECTIONS = {name: lstm_lm.compose(f"averaging={name}")["averaging"] for name in ("none", "ema", "asgd")}


def rule(name: str, **changes: Any) -> Averaging:
    return build_averaging(SECTIONS[name] | changes, {})


def after(losses: list[float], **changes: Any) -> int | None:
    """The number of validations after which ASGD begins."""
    average = WeightAverage(nn.Linear(1, 1), rule("asgd", **changes))
    for number, loss in enumerate(losses, start=1):
        average.note_validation(loss)
        average.after_step()
        if average.count:
            return number
    return None


def average(averaging: Averaging, weights: list[float]) -> float:
    """As an average of one number would run."""
    value = 0.0
    for count, weight in enumerate(weights, start=1):
        value += averaging.weight(count) * (weight - value)
    return value


def test_none_never_begins() -> None:
    assert not any(rule("none").begins(step, []) for step in (1, 10**9))


def test_ema_begins_after_its_start_step() -> None:
    assert [rule("ema", start_step=2).begins(step, []) for step in (1, 2, 3, 4)] == [False, False, True, True]


def test_ema_by_hand() -> None:
    """Weights 1, 2, 4 with decay 0.5: (0.125 * 1 + 0.25 * 2 + 0.5 * 4) / 0.875 = 3."""
    assert average(rule("ema", decay=0.5), [1.0, 2.0, 4.0]) == pytest.approx(2.625 / 0.875)


def test_ema_without_decay_is_the_last_weight() -> None:
    assert average(rule("ema", decay=0.0), [1.0, 2.0, 4.0]) == 4.0


@given(
    st.lists(st.floats(-100, 100), min_size=1, max_size=50),
    st.floats(0, 0.9999),
)
def test_ema_is_the_average_from_zero_without_its_bias(weights: list[float], decay: float) -> None:
    moving = 0.0
    for weight in weights:
        moving = decay * moving + (1 - decay) * weight
    expected = moving / (1 - decay ** len(weights))
    assert average(rule("ema", decay=decay), weights) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50))
def test_asgd_is_the_plain_mean(weights: list[float]) -> None:
    assert average(rule("asgd"), weights) == pytest.approx(sum(weights) / len(weights), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("losses", "non_monotone", "begins"),
    [
        ([3, 2, 2.5], 0, 3),  # worse than the best so far
        ([3, 2, 2.5], 1, None),  # no worse than the best but for the last before: 3
        ([3, 2, 2.5, 2.4], 1, 4),  # worse than the best of 3, 2
        ([3, 2, 1, 0.5, 0.4], 0, None),  # always better
        ([3, 3, 3, 3], 0, None),  # no worse
        ([1, 9, 9, 9, 9], 3, 5),
        ([1, 9, 9, 9], 3, None),
        ([2, float("nan"), float("inf"), 1], 1, None),  # what is no number says nothing
    ],
)
def test_asgd_begins_when_validation_stops_getting_better(
    losses: list[float], non_monotone: int, begins: int | None
) -> None:
    assert after(losses, non_monotone=non_monotone) == begins


def test_asgd_has_begun_though_a_better_validation_follows_before_the_next_step() -> None:
    average = WeightAverage(nn.Linear(1, 1), rule("asgd", non_monotone=0))
    for loss in (3.0, 2.0, 2.5, 1.0):
        average.note_validation(loss)
    average.forget_validations()
    average.after_step()
    assert average.count == 1


@given(st.lists(st.floats(0, 10), max_size=20), st.integers(0, 5), st.integers(0, 20))
def test_asgd_continues_where_a_checkpoint_was_written(losses: list[float], non_monotone: int, cut: int) -> None:
    whole, first, second = (WeightAverage(nn.Linear(1, 1), rule("asgd", non_monotone=non_monotone)) for _ in range(3))
    for loss in losses:
        whole.note_validation(loss)
    for loss in losses[:cut]:
        first.note_validation(loss)
    second.load_state_dict(first.state_dict())
    for loss in losses[cut:]:
        second.note_validation(loss)
    assert second.state_dict() == whole.state_dict()


@pytest.mark.parametrize(
    ("section", "trainer", "message"),
    [
        ({"name": "mean"}, {}, "averaging='mean': no such option"),
        ({"name": "ema", "decay": 1.0, "start_step": 0}, {}, "averaging.decay=1.0: must be less than 1"),
        ({"name": "asgd", "non_monotone": -1}, {}, "averaging.non_monotone=-1: must be greater than or equal to 0"),
        ({"name": "asgd", "non_monotone": 5}, {"limit_val_batches": 0}, "trainer.limit_val_batches=0 leaves none"),
    ],
)
def test_wrong_options_are_refused(section: dict[str, Any], trainer: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_averaging(section, trainer)
