"""Curves that somebody has drawn, and what they say."""

import math
import random
from collections.abc import Callable

import pytest

from lstm_lm.training.judgement import Judgement, Points, judge


def curve(loss: Callable[[float], float], count: int = 12, steps: int = 4200, noise: float = 0.0) -> Points:
    """`count` validations of a run of `steps`; `loss` is of the share of the run that is behind."""
    drawn = random.Random(1)
    return [(steps * place // count, loss(place / count) + drawn.gauss(0, noise)) for place in range(1, count + 1)]


def said(validations: Points, train: Points = (), *, rate: float = 0.0, steps: int = 4200) -> Judgement:
    return judge(validations, train, steps=steps, steps_per_epoch=steps // 4, rate=rate)


def power_law(done: float) -> float:
    """What a model gives that is far from its end: a tenth less with each doubling."""
    return 1.5 * done**-0.15


def level(done: float) -> float:
    return 1.5 + 0.5 * math.exp(-20 * done)


def overfitted(done: float) -> float:
    return 1.5 + 2 * (done - 0.25) ** 2


def below(points: Points, by: float) -> Points:
    """Training losses in the middle between validations and at them, so much lower."""
    return [(step, loss - by) for step, loss in points]


def test_a_run_that_each_doubling_made_better_still_falls() -> None:
    found = said(curve(power_law), below(curve(power_law), 0.01))
    assert found.kind == "falling"
    assert found.best_step == 4200
    assert found.fall == pytest.approx(power_law(0.25) - power_law(0.5), rel=0.25)


def test_the_bend_of_a_short_curve_is_no_noise() -> None:
    """Of examples/first_steps.ipynb: four epochs, one validation each."""
    found = judge(
        [(94, 2.496), (188, 2.2354), (282, 2.109), (376, 2.0848)], [], steps=376, steps_per_epoch=94, rate=0.0
    )
    assert found.kind == "falling"
    assert found.noise < 0.1 * (2.496 - 2.0848)


def test_a_curve_that_falls_only_because_its_rate_does_is_level() -> None:
    """As a cosine or one-cycle schedule makes of any model: flat while the rate is high, lower at its end."""

    def cosine(done: float) -> float:
        return 1.5 - 0.1 * max(0.0, done - 0.6)

    assert said(curve(cosine), rate=0.0).kind == "level"
    assert said(curve(cosine), rate=1.0).kind == "falling", "with a rate that stays it would be worth more steps"


def test_a_curve_that_flattens_while_its_rate_decays_is_level() -> None:
    """A decaying rate lowers the loss: where even that did little, more steps would do less."""
    assert said(curve(lambda done: max(1.5, 1.7 - 0.4 * done))).kind == "level"


def test_a_flat_curve_is_level_at_any_rate() -> None:
    assert said(curve(level), rate=0.0).kind == "level"
    assert said(curve(level), rate=1.0).kind == "level"


def test_steps_help_little_where_training_is_far_ahead_of_validation() -> None:
    learning = [(step, loss - 0.5 * step / 4200) for step, loss in curve(power_law)]
    assert said(curve(power_law), learning).kind == "ahead"


def test_a_harder_validation_text_is_no_overfitting() -> None:
    """Whose loss was higher in the first pass already, when all of the training text was new."""
    found = said(curve(power_law), below(curve(power_law), 0.3))
    assert found.kind == "falling"
    assert found.gap == pytest.approx(0, abs=0.05)


def test_a_rise_while_training_goes_on_is_overfitting() -> None:
    learning = [(step, 1.4 - step / 10_000) for step in range(50, 4201, 50)]
    found = said(curve(overfitted), learning)
    assert found.kind == "overfitted"
    assert found.best_step == pytest.approx(1050, abs=350)
    assert found.rise == pytest.approx(2 * 0.75**2, rel=0.05)
    assert found.gap is not None
    assert found.gap > 1


def test_a_rise_of_both_is_no_overfitting() -> None:
    diverging = [(step, 1.0 + step / 4200) for step in range(50, 4201, 50)]
    assert said(curve(overfitted), diverging).kind == "unstable"


def test_one_bad_validation_at_the_end_says_nothing() -> None:
    points = [*curve(level)[:-1], (4200, 1.9)]
    assert said(points).kind == "unclear"


@pytest.mark.parametrize("seed_noise", [0.003, 0.01, 0.03])
def test_noise_alone_makes_no_trend(seed_noise: float) -> None:
    points = curve(lambda _: 1.5, count=30, noise=seed_noise)
    for rate in (0.0, 1.0):
        assert said(points, rate=rate).kind in ("level", "unclear")


def test_a_fall_that_would_count_but_for_the_noise_is_not_level() -> None:
    """A curve that has lost a tenth in its last doubling has not levelled off, however restless it is."""
    restless = [(step, loss + 0.06 * (-1) ** place) for place, (step, loss) in enumerate(curve(power_law))]
    found = said(restless)
    assert found.kind == "unclear"
    assert found.fall is not None
    assert found.fall > 0


def test_a_few_steps_are_too_few() -> None:
    assert said(curve(power_law, steps=100), steps=100).kind == "short"
    assert judge([], [], steps=10, steps_per_epoch=5, rate=1.0).kind == "short"


def test_less_than_one_pass_is_too_few() -> None:
    assert judge(curve(power_law), [], steps=4200, steps_per_epoch=10_000, rate=0.0).kind == "short"


def test_a_few_steps_can_overfit() -> None:
    assert said(curve(overfitted, steps=120), steps=120).kind == "overfitted"


def test_one_validation_is_no_curve() -> None:
    found = said([(4200, 1.5)])
    assert found.kind == "unclear"
    assert found.fall is None
