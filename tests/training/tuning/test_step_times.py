"""Step times of sizes that were not timed."""

import pytest

import lstm_lm
from lstm_lm.training.tuning.sizes import Size, sizes
from lstm_lm.training.tuning.step_times import StepTimes

SIZES = sizes(lstm_lm.compose("budget=10m"), vocabulary=65, seconds=600)
SMALL, MIDDLE, LARGE = SIZES[0], SIZES[len(SIZES) // 2], SIZES[-1]


def planted(size: Size) -> float:
    return 1e-3 * size.layers + 3e-8 * size.products


def test_two_sizes_tell_what_a_layer_and_a_product_cost() -> None:
    times = StepTimes({size: planted(size) for size in (SMALL, LARGE)})
    for size in SIZES:
        assert times[size] == pytest.approx(planted(size))


def test_what_was_measured_stays_as_it_was_measured() -> None:
    measured = {SMALL: planted(SMALL), MIDDLE: 2 * planted(MIDDLE), LARGE: planted(LARGE)}
    times = StepTimes(measured)
    assert [times[size] for size in measured] == list(measured.values())


def test_after_one_size_larger_ones_are_thought_slow_rather_than_fast() -> None:
    assert StepTimes({SMALL: planted(SMALL)})[LARGE] > planted(LARGE)


@pytest.mark.parametrize("large", [0.001, 1.0, 1000.0])
def test_no_time_is_negative_whatever_was_measured(large: float) -> None:
    times = StepTimes({SMALL: 1.0, LARGE: large})
    assert all(times[size] > 0 for size in SIZES)
