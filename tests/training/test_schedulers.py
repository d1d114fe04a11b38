"""Learning-rate schedules, as factors of the peak."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.errors import UserError
from lstm_lm.registry import names
from lstm_lm.training.averaging import build_averaging
from lstm_lm.training.schedulers import Progress, Scheduler, build_scheduler, scheduler_options, update_rates

SECTIONS: dict[str, dict[str, Any]] = {
    "one_cycle": {"name": "one_cycle", "warmup": 0.2, "start": 0.1, "end": 0.01},
    "cosine": {"name": "cosine", "warmup_steps": 5, "end": 0.1},
    "constant": {"name": "constant", "warmup_steps": 5},
    "linear": {"name": "linear", "warmup_steps": 5, "end": 0.1},
    "step": {"name": "step", "warmup_steps": 0, "step_size": 4, "gamma": 0.5},
    "plateau": {"name": "plateau", "warmup_steps": 0, "patience": 2, "min_delta": 0.0, "gamma": 0.5, "end": 0.1},
}


def make(name: str, **changes: Any) -> Scheduler:
    return scheduler_options(SECTIONS[name] | changes, {})


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


def test_linear_goes_up_and_down_in_lines() -> None:
    factors = [make("linear").factor(step, 106) for step in range(110)]
    assert factors[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1.0])
    assert factors[(5 + 105) // 2] == pytest.approx(0.55)
    assert factors[105:] == pytest.approx([0.1] * 5), "and stays there, should there be more steps"


def test_step_is_what_steplr_makes_of_the_rate() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.5)
    rates = []
    for _ in range(14):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    assert [make("step").factor(step, 1) for step in range(14)] == pytest.approx(rates)
    warm = [make("step", warmup_steps=3).factor(step, 1) for step in range(8)]
    assert warm == pytest.approx([0.25, 0.5, 0.75, 1.0, 0.5, 0.5, 0.5, 0.5])


def reductions(losses: Sequence[float], **changes: Any) -> list[float]:
    """A plateau's factor after each of the validations that found `losses`."""
    options, progress, factors = make("plateau", **changes), Progress(), []
    for loss in losses:
        progress = options.after_validation(progress, loss)
        factors.append(options.reduction(progress))
    return factors


def test_a_plateau_is_so_many_validations_that_are_no_better() -> None:
    assert reductions([3.0, 2.0, 2.5, 2.1, 1.9, 2.0, 1.9]) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.25]
    assert reductions([2.0, 2.1], patience=1) == [1.0, 0.5]


def test_better_means_by_as_much_as_was_asked_for() -> None:
    assert reductions([2.0, 1.95, 1.92, 1.85], min_delta=0.1) == [1.0, 1.0, 0.5, 0.5]


def test_a_rate_is_reduced_down_to_the_end() -> None:
    assert reductions([2.0] * 6, patience=1) == [1.0, 0.5, 0.25, 0.125, 0.1, 0.1]


def test_losses_of_other_tokens_are_not_compared_and_the_rate_stays_reduced() -> None:
    options, before = make("plateau"), Progress(best=1.0, waited=1, reductions=3)
    after = options.after_validation(before.of_other_tokens(), 5.0)
    assert after == Progress(best=5.0, waited=0, reductions=3)


@given(
    losses=st.lists(st.floats(0.5, 3.0), max_size=40),
    patience=st.integers(1, 4),
    min_delta=st.sampled_from([0.0, 0.1]),
)
def test_a_plateau_is_what_reducelronplateau_makes_of_it(losses: list[float], patience: int, min_delta: float) -> None:
    """Its patience is one less: how many validations are borne, not how many it takes."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.5, patience=patience - 1, threshold=min_delta, threshold_mode="abs", min_lr=0.1, eps=0.0
    )
    rates = []
    for loss in losses:
        reference.step(loss)
        rates.append(optimizer.param_groups[0]["lr"])
    assert reductions(losses, patience=patience, min_delta=min_delta) == pytest.approx(rates)


@pytest.mark.parametrize("name", [name for name in SECTIONS if name != "plateau"])
def test_other_schedules_go_by_no_validation(name: str) -> None:
    options = make(name)
    assert not options.needs_validation
    assert options.after_validation(Progress(), 2.0) == Progress()
    assert options.reduction(Progress(reductions=9)) == 1.0


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


def test_a_validation_changes_the_rate_at_once_and_for_good() -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)
    progress = Progress()
    scheduler = build_scheduler(optimizer, make("plateau"), None, lambda: progress)
    progress = Progress(reductions=1)
    update_rates(scheduler)
    assert optimizer.param_groups[0]["lr"] == scheduler.get_last_lr()[0] == 1.0
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == 1.0


@pytest.mark.parametrize(
    ("trainer", "named"),
    [
        ({"limit_val_batches": 0}, "trainer.limit_val_batches=0"),
        ({"limit_val_batches": 0.0}, "trainer.limit_val_batches=0"),
        ({"check_val_every_n_epoch": 3, "max_epochs": 2}, "trainer.check_val_every_n_epoch=3"),
    ],
)
def test_what_goes_by_validations_is_refused_where_there_are_none(trainer: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"scheduler=plateau .*{named}"):
        scheduler_options(SECTIONS["plateau"], trainer)
    with pytest.raises(UserError, match=f"averaging=asgd .*{named}"):
        build_averaging({"name": "asgd", "non_monotone": 5}, trainer)
    assert scheduler_options(SECTIONS["constant"], trainer)


@pytest.mark.parametrize(
    "trainer", [{"check_val_every_n_epoch": 3, "max_epochs": -1}, {"check_val_every_n_epoch": None, "max_epochs": 1}]
)
def test_it_is_taken_where_there_may_be_some(trainer: dict[str, Any]) -> None:
    assert scheduler_options(SECTIONS["plateau"], trainer)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "exponential"}, "choose one of: constant, cosine, linear, one_cycle, plateau, step"),
        (SECTIONS["plateau"] | {"patience": 0}, "scheduler.patience=0: must be greater than or equal to 1"),
        (SECTIONS["plateau"] | {"gamma": 1.0}, "scheduler.gamma=1.0: must be less than 1"),
        (SECTIONS["step"] | {"step_size": 0}, "scheduler.step_size=0"),
        (SECTIONS["linear"] | {"end": 1.5}, "scheduler.end=1.5"),
        (SECTIONS["one_cycle"] | {"warmup": 1.0}, "scheduler.warmup=1.0: must be less than 1"),
        (SECTIONS["cosine"] | {"warmup_steps": -1}, "scheduler.warmup_steps=-1"),
    ],
)
def test_wrong_options_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("(", r"\(")):
        scheduler_options(section, {})
