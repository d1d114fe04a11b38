"""Confidence intervals: the quantile against tables, the interval against what it promises."""

import numpy as np
import pytest
from numpy.typing import NDArray

from lstm_lm.evaluation.intervals import (
    Interval,
    block_count,
    neighbours_correlation,
    ratio_interval,
    student_quantile,
)


def mean_interval(values: NDArray[np.float64]) -> Interval | None:
    """For the mean of independent values."""
    return ratio_interval(values, np.ones(len(values), dtype=np.int64))


@pytest.mark.parametrize(("freedom", "table"), [(9, 2.2622), (14, 2.1448), (29, 2.0452), (99, 1.9842), (10**6, 1.9600)])
def test_students_quantile_is_that_of_the_tables(freedom: int, table: float) -> None:
    assert student_quantile(freedom) == pytest.approx(table, abs=2e-4)


def test_the_interval_holds_the_mean_as_often_as_it_promises() -> None:
    chance = np.random.default_rng(0)
    samples = chance.exponential(1.0, (4000, 30)) + chance.normal(0, 1, (4000, 30))
    found = [mean_interval(sample) for sample in samples]
    held = np.mean([interval is not None and interval.low <= 1.0 <= interval.high for interval in found])
    assert 0.93 < held < 0.965


def test_blocks_of_equal_size_are_their_means() -> None:
    means = np.random.default_rng(1).normal(2.0, 0.3, 20)
    sizes = np.full(20, 500)
    by_sums, by_means = ratio_interval(means * 500, sizes), mean_interval(means)
    assert by_sums is not None
    assert by_means is not None
    assert by_sums == pytest.approx(by_means)
    assert by_means.high - by_means.low == pytest.approx(2 * 2.0930 * means.std(ddof=1) / np.sqrt(20), rel=1e-4)


def test_empty_blocks_do_not_count() -> None:
    sums, sizes = np.arange(24.0), np.arange(24)
    assert ratio_interval(np.append(sums, 0.0), np.append(sizes, 0)) == ratio_interval(sums, sizes)


def test_too_few_blocks_give_no_interval() -> None:
    assert mean_interval(np.arange(9.0)) is None
    assert neighbours_correlation(np.arange(9.0)) is None


def test_a_text_is_cut_into_blocks_that_are_long_enough() -> None:
    assert block_count(111_539, 30) == 30
    assert block_count(1_000, 30) == 20
    assert block_count(1, 30) == 1


def test_neighbours_that_depend_on_each_other_show() -> None:
    chance = np.random.default_rng(2)
    apart = chance.normal(size=1000)
    assert neighbours_correlation(apart) == pytest.approx(0, abs=0.1)
    assert neighbours_correlation(np.convolve(apart, np.ones(4))) == pytest.approx(0.75, abs=0.1)
