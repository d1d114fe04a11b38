"""From a budget to steps, with planted times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.callbacks import Timer

from lstm_lm.training.tuning.schedule import (
    AIM,
    FEWEST_STEPS,
    MOST_VALIDATIONS,
    Costs,
    Schedule,
    affordable,
    as_max_time,
    latest,
    least_budget,
)

SECONDS = st.floats(0.001, 100)
COSTS = st.builds(Costs, begin=SECONDS, validation=SECONDS, end=SECONDS)


def whole(step: float, costs: Costs, budget: float, gone: float) -> float:
    """Seconds of a run that goes as was measured."""
    schedule = affordable(budget, gone, step, costs)
    return gone + costs.begin + schedule.steps * step + schedule.validations * costs.validation + costs.end


@given(st.floats(1, 100_000), SECONDS, SECONDS, COSTS)
def test_a_run_that_goes_as_measured_ends_within_its_budget(
    budget: float, gone: float, step: float, costs: Costs
) -> None:
    if affordable(budget, gone, step, costs).steps:
        assert whole(step, costs, budget, gone) <= AIM * budget * (1 + 1e-9)


def test_it_uses_it_up() -> None:
    assert whole(0.05, Costs(0.5, 0.5, 2), 600, 10) == pytest.approx(AIM * 600, abs=0.6)


@given(st.floats(1, 100_000), st.floats(1, 10), SECONDS, SECONDS, COSTS)
def test_more_time_never_has_room_for_fewer_steps(
    budget: float, longer: float, gone: float, step: float, costs: Costs
) -> None:
    assert affordable(budget, gone, step, costs).steps <= affordable(budget * longer, gone, step, costs).steps


@given(SECONDS, SECONDS, COSTS)
def test_the_least_budget_has_room_for_the_fewest_steps(gone: float, step: float, costs: Costs) -> None:
    least = least_budget(gone, step, costs)
    assert affordable(least * 1.000001, gone, step, costs).steps >= FEWEST_STEPS
    assert affordable(least * 0.99, gone, step, costs).steps <= FEWEST_STEPS


def test_validations_take_a_small_share_of_the_time() -> None:
    assert affordable(600, 10, 0.05, Costs(0.5, 0.5, 2)).validations == MOST_VALIDATIONS
    assert affordable(600, 10, 0.05, Costs(0.5, 100, 2)).validations == 0, "the last one is part of the end"


@pytest.mark.parametrize("seconds", [1, 59, 61, 3_599, 3_661, 90_061, 36_000_000])
def test_the_limit_of_time_is_as_lightning_reads_it(seconds: int) -> None:
    assert Timer(as_max_time(seconds)).time_remaining() == seconds


def test_training_that_has_become_slower_leaves_room_for_the_end() -> None:
    costs = Costs(begin=1, validation=2, end=5)
    assert 10 + costs.begin + latest(100, 10, costs) + costs.end <= 1.15 * 100


def test_what_comes_every_so_many_steps_is_part_of_them() -> None:
    costs = Costs(begin=0, validation=2, end=0)
    often = costs.with_validations_every(20)
    assert affordable(100, 0, 0.1, often) == Schedule(int(100 * AIM / 0.2), 0)
    assert least_budget(0, 0.1, often) == pytest.approx(least_budget(0, 0.2, costs))
