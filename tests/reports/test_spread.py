"""Ratios with intervals: what is noise, and what is not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.reports.spread import measured, paired_ratio, student_quantile


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)]
)
def test_students_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(freedom) == pytest.approx(quantile, abs=5e-4)


def test_a_median_with_its_extremes() -> None:
    value = measured({1: 3.0, 2: 1.0, 3: 2.0})
    assert value is not None
    assert (value.low, value.median, value.high, value.count) == (1.0, 2.0, 3.0, 3)
    assert measured({}) is None


def test_what_slows_both_rows_of_a_repetition_does_not_touch_their_ratio() -> None:
    """The machine is three times as slow in the second repetition; the contender is twice as fast in each."""
    ratio = paired_ratio({1: 20.0, 2: 6.7, 3: 20.2}, {1: 10.0, 2: 3.3, 3: 10.0})
    assert ratio is not None
    assert ratio.low is not None
    assert ratio.high is not None
    assert 1.9 < ratio.low < ratio.median < ratio.high < 2.1
    assert ratio.differs


def test_rows_that_differ_by_less_than_the_noise_do_not_differ() -> None:
    ratio = paired_ratio({1: 10.5, 2: 9.0, 3: 11.0}, {1: 10.0, 2: 10.0, 3: 10.0})
    assert ratio is not None
    assert ratio.median == pytest.approx(1.05)
    assert not ratio.differs


def test_one_repetition_has_a_ratio_and_no_conclusion() -> None:
    ratio = paired_ratio({1: 30.0, 2: 1.0}, {1: 10.0, 3: 1.0})
    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.count, ratio.differs) == (pytest.approx(3.0), None, 1, False)
    assert paired_ratio({1: 1.0}, {2: 1.0}) is None


def test_a_figure_that_is_zero_has_no_ratio() -> None:
    assert paired_ratio({1: 0.0, 2: 1.0}, {1: 1.0, 2: 0.0}) is None


@given(st.dictionaries(st.integers(1, 9), st.floats(0.1, 10), min_size=2), st.floats(0.1, 10))
def test_the_ratio_turned_round_is_the_inverse(values: dict[int, float], scale: float) -> None:
    baseline = {key: scale * (1 + key / 10) for key in values}
    there, back = paired_ratio(values, baseline), paired_ratio(baseline, values)
    assert there is not None
    assert back is not None
    assert there.median * back.median == pytest.approx(1.0)
    assert there.low is not None
    assert back.high is not None
    assert there.low * back.high == pytest.approx(1.0)


def test_of_rows_that_are_alike_about_one_in_twenty_looks_different() -> None:
    chance = random.Random(1)
    found = 0
    for _ in range(2000):
        rows = [{key: chance.lognormvariate(0.0, 0.05) for key in range(4)} for _ in range(2)]
        ratio = paired_ratio(*rows)
        found += ratio is not None and ratio.differs
    assert 60 <= found <= 140
