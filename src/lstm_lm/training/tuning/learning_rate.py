"""`tune=lr`: a short training of a throw-away model while the rate rises, and a proposal drawn from its losses.

The rate rises exponentially from step to step (Smith 2017, "Cyclical learning rates for training neural networks").
What is proposed lies an order of magnitude below the rate at which the loss is lowest.
"""

import dataclasses
import math
import time
from contextlib import closing
from statistics import fmean
from typing import Any, ClassVar

from lstm_lm.training.build import build
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.plan import Plan
from lstm_lm.training.schedulers.interface import Scheduler
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning.budget_options import LEARNING_RATE
from lstm_lm.training.tuning.options import LearningRateOptions, as_typed
from lstm_lm.training.tuning.trial import fit

WINDOW = 9
"""Steps, and so rates, over which losses are averaged."""
BELOW_THE_LOWEST = 10.0
DIVERGED = 4.0
"""Times the lowest loss: nothing is learnt behind that."""


class _Rising(Scheduler):
    """From `start` to 1 in `steps` steps, exponentially."""

    needs_total_steps: ClassVar[bool] = False
    start: float
    steps: int

    def factor(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return float(self.start ** max(0.0, 1 - step / (self.steps - 1)))


def tune_learning_rate(plan: Plan, options: LearningRateOptions, signals: StopSignals) -> dict[str, Any]:
    """What is found, as plain data: what tuning.json and checkpoints hold.

    `name`, `device` (its type), `proposal` (None: there is none), `note`, `chosen` (keys of the configuration and
    values: the proposal where it is applied), `typed` (the proposal for the command line), `seconds` (that it took),
    `table` (one mapping a step: `learning_rate` and `loss`, nats per token).

    Raises:
        UserError, RunError: as `lstm_lm.training.build.build`.
        Interrupted: a signal came.
    """
    config = plan.config
    rising = _Rising(name="rising", start=options.min_lr / options.max_lr, steps=options.steps)
    peak = config.optimizer.model_copy(update={"lr": options.max_lr})
    searching = dataclasses.replace(config, optimizer=peak, scheduler=rising)
    began = time.perf_counter()
    rates: list[float] = []
    losses: list[float] = []

    def enough(task: LanguageModelTask) -> bool:
        assert task.learning_rate is not None
        assert task.train_loss is not None
        rates.append(task.learning_rate)
        losses.append(float(task.train_loss))
        lately = fmean(losses[-WINDOW:])
        return len(losses) == options.steps or not lately <= DIVERGED * min(losses)  # or it is no number

    with closing(build(plan.with_config(searching))) as parts:
        fit(searching, parts, signals, enough)
    proposal, note = propose(rates, losses, options.max_lr)
    proposed = {} if proposal is None else {LEARNING_RATE: proposal}
    return {
        "name": "lr",
        "device": parts.hardware.device.type,
        "proposal": proposal,
        "note": note,
        "chosen": proposed if options.apply else {},
        "typed": as_typed(proposed),
        "seconds": time.perf_counter() - began,
        "table": [
            {"learning_rate": rate, "loss": loss if math.isfinite(loss) else None}
            for rate, loss in zip(rates, losses, strict=True)
        ],
    }


def propose(rates: list[float], losses: list[float], max_rate: float) -> tuple[float | None, str]:
    """A rate with two digits, or None, and what is to be said about it; `losses` may end in what is no number."""
    usable = next((number for number, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    if usable < 2 * WINDOW:
        return None, f"the loss has diverged after {usable} steps: try a smaller tune.min_lr"
    smooth = [fmean(losses[first : first + WINDOW]) for first in range(usable - WINDOW + 1)]
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    if lowest == 0:
        return None, "the loss falls at no rate: try a smaller tune.min_lr"
    rate = float(f"{rates[lowest + WINDOW // 2] / BELOW_THE_LOWEST:.1e}")
    if lowest == len(smooth) - 1 and usable == len(losses):
        return rate, f"the loss still falls at tune.max_lr={max_rate:g}: try a larger one"
    return rate, ""
