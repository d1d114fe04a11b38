"""Which sizes are timed, and which is taken, with planted times."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.training.tuning.rule import DROPOUTS
from lstm_lm.training.tuning.schedule import FEWEST_STEPS, Costs
from lstm_lm.training.tuning.search import Prospect, Search, Timing
from lstm_lm.training.tuning.sizes import Size, sizes

SIZES = sizes(lstm_lm.compose("budget=10m"), vocabulary=65, seconds=600)


@dataclass
class Machine:
    """A clock that moves only when something is timed."""

    layer: float = 2e-3
    """Seconds of a step, for each layer."""
    product: float = 5e-8
    """Likewise, for each product."""
    now: float = 5.0
    costs: Costs = field(default_factory=lambda: Costs(begin=0.2, validation=0.3, end=1.5))
    timed: list[Size] = field(default_factory=list)

    def step(self, size: Size) -> float:
        return self.layer * size.layers + self.product * size.products

    def time(self, size: Size, seconds: float) -> Timing:
        self.timed.append(size)
        self.now += max(seconds, 12 * self.step(size))
        return Timing(self.step(size), self.costs)

    def gone(self) -> float:
        return self.now


def search(budget: float, machine: Machine, tokens: int = 400_000) -> list[Prospect]:
    steps = max(1, tokens // 2_048)
    found = Search(SIZES, tokens, steps, DROPOUTS, budget, machine.time, machine.gone)
    return found.run(0.1 * budget)


def test_what_is_taken_was_timed() -> None:
    machine = Machine()
    prospects = search(600, machine)
    assert prospects[0].measured
    assert prospects[0].size in machine.timed
    assert prospects[0].settings.loss == min(each.settings.loss for each in prospects)
    assert len(prospects) == len(SIZES)


def test_what_is_taken_was_timed_once_more() -> None:
    machine = Machine()
    taken = search(600, machine)[0].size
    assert machine.timed.count(taken) == 2
    assert all(machine.timed.count(size) == 1 for size in machine.timed if size != taken)


def test_few_sizes_are_timed_the_smallest_and_the_largest_first() -> None:
    machine = Machine()
    search(600, machine)
    assert machine.timed[:2] == [SIZES[0], SIZES[-1]]
    assert len(set(machine.timed)) <= 5


def test_where_the_time_for_measuring_is_over_what_was_timed_is_taken() -> None:
    machine = Machine(product=2e-6)
    prospects = search(30, machine)
    assert prospects[0].measured
    assert prospects[0].steps >= FEWEST_STEPS


@given(st.floats(20, 36_000), st.floats(1, 20), st.integers(20_000, 5_000_000), st.floats(1e-9, 1e-6))
def test_more_time_never_gives_a_worse_model(budget: float, longer: float, tokens: int, product: float) -> None:
    """All sizes known: what is left to chance in practice is what could be timed."""

    def best(budget: float) -> float:
        machine = Machine(product=product)
        all_of_it = Search(SIZES, tokens, max(1, tokens // 2_048), DROPOUTS, budget, machine.time, machine.gone)
        timings = {size: Timing(machine.step(size), machine.costs) for size in SIZES}
        return all_of_it.prospects(timings)[0].settings.loss

    assert best(budget * longer) <= best(budget) + 1e-6


def test_a_longer_budget_and_a_longer_text_take_a_larger_model() -> None:
    assert search(60, Machine())[0].size.parameters < search(3_600, Machine())[0].size.parameters
    short, long = (search(3_600, Machine(), tokens)[0] for tokens in (50_000, 5_000_000))
    assert short.settings.dropout > long.settings.dropout


def test_a_short_text_ends_before_it_is_learnt_by_heart() -> None:
    best = search(36_000, Machine(), tokens=50_000)[0]
    assert best.steps < best.schedule.steps / 2


def test_a_tiny_text_is_trained_on_for_some_steps_all_the_same() -> None:
    """Whatever the rule says of texts that are far from those that it was fitted to."""
    machine = Machine()
    large = [size for size in SIZES if size.parameters > 10**6]
    found = Search(large, 200, 1.0, (0.0,), 3_600, machine.time, machine.gone).run(360)
    assert found[0].settings.passes < FEWEST_STEPS == found[0].steps


def test_a_size_that_cannot_be_trained_here_is_left_out() -> None:
    machine = Machine()
    without = search(3_600, machine)[0].size

    def time(size: Size, seconds: float) -> Timing:
        if size == without:
            raise MemoryError
        return machine.time(size, seconds)

    found = Search(SIZES, 400_000, 200, DROPOUTS, 3_600, time, machine.gone).run(360)
    assert found[0].measured
    assert without not in [each.size for each in found]


def test_where_none_can_be_trained_the_first_says_why() -> None:
    def time(*_: object) -> Timing:
        raise UserError("forward=grid: not this cell")

    with pytest.raises(UserError, match="not this cell"):
        Search(SIZES, 400_000, 200, DROPOUTS, 3_600, time, lambda: 0.0).run(360)


def test_too_little_time_is_refused_with_what_would_do() -> None:
    with pytest.raises(UserError, match=r"^budget=6s: start-up, .* take longer") as caught:
        search(6, Machine())
    least = float(str(caught.value).rpartition("budget=")[2].removesuffix("s"))
    assert search(least + 1, Machine())[0].steps >= FEWEST_STEPS
    assert str(caught.value).count("\n") == 1
