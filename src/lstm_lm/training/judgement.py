"""What a run's curve says of it: whether more steps would help, whether it overfitted, or that nobody can tell yet."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["short", "overfitted", "unstable", "falling", "ahead", "level", "unclear"]

FEWEST_STEPS = 200
"""Optimizer steps below which a curve says more of its beginning than of its end."""
FEWEST_VALIDATIONS = 4
LATER = 2
"""Validations behind the best one that must all be worse: one alone may be chance."""
NOISES = 3.0
"""A change of so many times the noise is one."""
WORSE = 0.01
"""... if it is also this share of the loss."""
STILL_FALLS = 0.005
"""Share of the loss, over the last third of a run whose rate has not decayed."""
PAYS = 0.02
"""Share of the loss that a doubling of the steps must have taken off for another one to be worth its time."""
WIDE = 0.15
"""Gap between training and validation, as a share of the loss, that more steps would widen rather than use."""
DECAYED = 0.5
"""Of the peak learning rate: below it, the end of a curve falls because the rate does."""

_OF_MEDIAN = 0.6745
"""The median of what a normal distribution's values differ from its mean, in standard deviations."""

Points = Sequence[tuple[int, float]]
"""(optimizer step, loss in nats per token), in order of the steps; finite."""


@dataclass(frozen=True)
class Judgement:
    """What is said, and the figures that it rests on, in nats per token."""

    kind: Kind
    validations: int
    best_step: int | None
    """Of the lowest validation loss; None: there was no validation."""
    loss: float | None = None
    """Of the last validation."""
    rise: float = 0.0
    """From the lowest to that one."""
    gap: float | None = None
    """By how much validation is above training at the end, beyond what it was in the first pass; None: not logged.

    In the first pass the training text is as new as the validation text, and may still be an easier one.
    """
    fall: float | None = None
    """By which it is judged whether the loss still fell; None: that was not looked at, or too few were validated."""
    fall_per: Literal["doubling", "third"] | None = None
    """Of the steps, where the rate decays; else of the run, its last."""
    noise: float = 0.0


def judge(validations: Points, train: Points, *, steps: int, steps_per_epoch: int, rate: float) -> Judgement:
    """Judge a run by its validation curve; the first rule that holds is the answer.

    1. `overfitted`: at least LATER validations follow the best one, all worse, the last by more than noise and by WORSE
       of the loss, while the training loss went on falling. Where it did not, `unstable`: not overfitting, but a rate
       that is too high, say.
    2. `short`: fewer than FEWEST_STEPS steps, or less than one pass over the text.
    3. `unclear`: fewer than FEWEST_VALIDATIONS validations, or the best is not at the end, but not clearly before it;
       later, a fall that would count, but is within the noise.
    4. Whether it still fell. A schedule that decays makes any curve fall at its end, and flat at its very end; neither
       says that a longer run would be better. So where the rate has decayed (DECAYED), what counts is what a doubling
       of the steps took off before most of the decay, from a quarter to half of the run: a run of twice the length has
       one such doubling more. The doubling from there to the end, with the decay to help it, must not have been
       less: the smaller of the two counts. It must be over PAYS of the loss, and over the noise; and the training loss
       must not have gone far ahead of the validation loss (WIDE), for there a longer run learns the text by heart:
       that is `ahead`. Where the rate has not decayed, the fall of the last third counts (STILL_FALLS, and the noise).
       Then it is `falling`; `level`, where it is less than its share of the loss.

    Noise is what one validation differs from an even curve through its neighbours, over the curve's second half.

    Args:
        validations: the whole validation curve.
        train: the logged training losses, each of one step.
        steps: of the whole run.
        steps_per_epoch: of one pass over the text.
        rate: the learning rate at the end, as a share of its peak: 0 to 1.
    """
    enough = steps >= max(FEWEST_STEPS, steps_per_epoch)
    if not validations:
        return Judgement("unclear" if enough else "short", 0, None)
    losses = [loss for _, loss in validations]
    last, noise = losses[-1], _noise(losses)
    best = losses.index(min(losses))
    best_step, rise = validations[best][0], last - losses[best]
    end = _typical_train(train, *_stretch(validations, len(validations) - 1))
    gap = None if end is None else last - end - _first_gap(validations, train, steps_per_epoch)

    def say(kind: Kind, fall: float | None = None) -> Judgement:
        per: Literal["doubling", "third"] | None = None if fall is None else "doubling" if rate < DECAYED else "third"
        return Judgement(kind, len(losses), best_step, last, rise, gap, fall, per, noise)

    if len(losses) - 1 - best >= LATER and _rose(losses, best) > max(NOISES * noise, WORSE * last):
        at_best = _typical_train(train, *_stretch(validations, best))
        went_on = end is None or at_best is None or end < at_best
        return say("overfitted" if went_on else "unstable")
    if not enough:
        return say("short")
    if len(losses) < FEWEST_VALIDATIONS or rise > WORSE * last:
        return say("unclear")
    decayed = rate < DECAYED
    fall = _per_doubling(validations) if decayed else _last_third(losses)
    if fall is None:
        return say("unclear")
    if fall <= (PAYS if decayed else STILL_FALLS) * last:
        return say("level", fall)
    if fall <= NOISES * noise:
        return say("unclear", fall)
    return say("ahead" if decayed and gap is not None and gap > WIDE * last else "falling", fall)


def _noise(losses: Sequence[float]) -> float:
    """Standard deviation of one validation, over the curve's second half: by how much one bend differs from the next.

    A curve that falls ever slower bends, and bends evenly; noise does not. Each difference is of four validations.
    """
    late = losses[-max(8, len(losses) // 2) :]
    jolts = [abs(a - 3 * b + 3 * c - d) for a, b, c, d in zip(late, late[1:], late[2:], late[3:], strict=False)]
    return statistics.median(jolts) / (_OF_MEDIAN * 20**0.5) if jolts else 0.0


def _rose(losses: Sequence[float], best: int) -> float:
    """From around the best validation, which may be so by chance, to the last ones."""
    return statistics.fmean(losses[-LATER:]) - statistics.median(losses[max(0, best - 1) : best + 2])


def _stretch(validations: Points, place: int) -> tuple[int, int]:
    """The steps from the validation before the one at `place` to that one."""
    return (validations[place - 1][0] if place else 0), validations[place][0]


def _typical_train(train: Points, after: int, to: int) -> float | None:
    """The median of the logged losses in between, of the second half where there are many: the model has moved on."""
    middle = (after + to) / 2
    between = [(step, loss) for step, loss in train if after < step <= to]
    found = [loss for step, loss in between if step > middle] or [loss for _, loss in between]
    return statistics.median(found) if found else None


def _first_gap(validations: Points, train: Points, steps_per_epoch: int) -> float:
    """Of the last validation within the first pass; 0 where there is none."""
    within = [place for place, (step, _) in enumerate(validations) if step <= steps_per_epoch]
    if not within:
        return 0.0
    typical = _typical_train(train, *_stretch(validations, within[-1]))
    return 0.0 if typical is None else max(0.0, validations[within[-1]][1] - typical)


def _per_doubling(validations: Points) -> float | None:
    """What a doubling of the steps took off, from about a quarter to half of the run, and from there to its end.

    The smaller of the two: on a curve of loss over the logarithm of the steps, a slope. None: too little was validated
    there.
    """
    end = validations[-1][0]
    near = [(step, loss) for step, loss in validations if 0.2 * end <= step <= 0.6 * end]
    if len(near) < 2 or near[-1][0] < 1.5 * near[0][0]:
        return None
    (first, before), (second, after) = near[0], near[-1]
    return min((before - after) / math.log2(second / first), (after - validations[-1][1]) / math.log2(end / second))


def _last_third(losses: Sequence[float]) -> float:
    """The fall over the last third: of the line through it, which one validation cannot turn."""
    recent = losses[-max(3, len(losses) // 3) :]
    slope = statistics.linear_regression(range(len(recent)), recent).slope
    return -slope * (len(recent) - 1)
