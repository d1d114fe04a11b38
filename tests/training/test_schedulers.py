"""Learning-rate schedules, as factors of the peak."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.errors import UserError
from lstm_lm.registry import names
from lstm_lm.training.schedulers import Scheduler, build_scheduler, scheduler_options

SECTIONS: dict[str, dict[str, Any]] = {
    "one_cycle": {"name": "one_cycle", "warmup": 0.2, "start": 0.1, "end": 0.01},
    "cosine": {"name": "cosine", "warmup_steps": 5, "end": 0.1},
    "constant": {"name": "constant", "warmup_steps": 5},
}


def make(name: str, **changes: Any) -> Scheduler:
    return scheduler_options(SECTIONS[name] | changes)


def test_every_scheduler_is_covered_here() -> None:
    assert set(SECTIONS) == set(names("lstm_lm.training.schedulers"))


@pytest.mark.parametrize("name", list(SECTIONS))
@given(st.integers(0, 10_000), st.integers(1, 5_000))
def test_a_factor_is_defined_for_every_step_and_never_above_the_peak(name: str, step: int, total: int) -> None:
    assert 0 <= make(name).factor(step, total) <= 1


def test_one_cycle_starts_low_peaks_once_and_ends_low() -> None:
    factors = [make("one_cycle").factor(step, 101) for step in range(101)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[20] == pytest.approx(1.0)
    assert factors[100] == pytest.approx(0.01)
    assert factors[:21] == sorted(factors[:21])
    assert factors[20:] == sorted(factors[20:], reverse=True)


def test_cosine_warms_up_in_a_line_and_ends_at_its_end() -> None:
    factors = [make("cosine").factor(step, 106) for step in range(106)]
    assert factors[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    assert factors[105] == pytest.approx(0.1)
    assert factors[(5 + 105) // 2] == pytest.approx(0.55)


def test_constant_without_warm_up_is_one() -> None:
    assert [make("constant", warmup_steps=0).factor(step, 9) for step in (0, 5, 50)] == [1.0, 1.0, 1.0]


def test_the_optimizers_rate_follows() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2.0)
    options = make("one_cycle")
    scheduler = build_scheduler(optimizer, options, total_steps=10)
    seen = []
    for _ in range(12):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert seen == pytest.approx([2.0 * options.factor(step, 10) for step in range(12)])


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "linear"}, "choose one of: constant, cosine, one_cycle"),
        (SECTIONS["one_cycle"] | {"warmup": 1.0}, "scheduler.warmup=1.0: must be less than 1"),
        (SECTIONS["cosine"] | {"warmup_steps": -1}, "scheduler.warmup_steps=-1"),
    ],
)
def test_wrong_options_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        scheduler_options(section)
