"""`budget=`: reads the text, has a few sizes of the model timed on it, and says how the run is to be."""

import math
import time
from contextlib import closing
from dataclasses import replace
from typing import Any

from lstm_lm.data.module import TextDataModule
from lstm_lm.flat_keys import at
from lstm_lm.training.build import build
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.length import windows_between_validations, windows_per_epoch
from lstm_lm.training.plan import Plan
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning import rule
from lstm_lm.training.tuning.budget_options import (
    AS_DROPOUT,
    DROPOUT,
    LEARNING_RATE,
    LENGTH,
    SHAPE,
    VALIDATIONS,
    BudgetOptions,
    fixed_dropout,
    is_kept,
)
from lstm_lm.training.tuning.budget_table import reason
from lstm_lm.training.tuning.options import as_typed, laid_over
from lstm_lm.training.tuning.schedule import as_max_time, latest
from lstm_lm.training.tuning.search import Prospect, Search, Timing
from lstm_lm.training.tuning.sizes import Size, shape, sizes
from lstm_lm.training.tuning.trial import StepTrial

SHARE = 0.1
"""Of the budget, that measuring may take."""
STEPS = 3
"""Optimizer steps that a size is timed for, at least."""
LEAVING = 0.1
"""Of the seconds that the process took to begin: what it takes to end, with all that it has imported."""


def tune_budget(plan: Plan, options: BudgetOptions, signals: StopSignals, started_at: float) -> dict[str, Any]:
    """What is found, as plain data: what tuning.json and checkpoints hold.

    `name`, `time` (the budget), `device` (its type), `chosen` (keys of the configuration and values), `typed` (the same
    for the command line), `seconds` (that it took), `reason` (a sentence) and `table` (one mapping a size, the best
    first).

    Args:
        plan: of a run that starts from its first step.
        options: the budget, and what is kept.
        signals: stop it.
        started_at: `time.time()` when the user began to wait.

    Raises:
        UserError: the budget is too small; what `lstm_lm.training.build.build` refuses.
        RunError: as there.
        Interrupted: a signal came.
    """
    began, config, seconds = time.time(), plan.config.plain, options.seconds
    leaving = LEAVING * (began - started_at)
    shaped, data = _fitted_to_the_text(plan)
    trainer = plan.config.trainer
    windows = windows_per_epoch(trainer, data.windows_per_epoch)
    windows_per_step = windows / math.ceil(windows / int(trainer["accumulate_grad_batches"]))  # the last may have fewer

    def time_size(size: Size, for_seconds: float) -> Timing:
        signals.check()
        timing = _timed(_with(shaped, size.settings()), data, signals, for_seconds)
        if not is_kept(config, VALIDATIONS[0]):
            return timing
        every = windows_between_validations(trainer, windows, timing.step / windows_per_step) / windows_per_step
        return timing._replace(costs=timing.costs.with_validations_every(every))

    fixed = fixed_dropout(config)
    search = Search(
        sizes=sizes(config, data.tokenizer.vocabulary_size, seconds),
        tokens=data.predicted("train"),
        steps_per_pass=data.windows_per_epoch / windows_per_step,
        dropouts=rule.DROPOUTS if fixed is None else (fixed,),
        budget=seconds,
        time=time_size,
        gone=lambda: time.time() - started_at + leaving,
    )
    prospects = search.run(SHARE * seconds - (time.time() - began))
    settings = {
        **prospects[0].size.settings(),
        **dict.fromkeys((DROPOUT, *AS_DROPOUT), prospects[0].settings.dropout),
        **{key: at(shaped.config.plain, key) for key in SHAPE},
        LEARNING_RATE: rule.learning_rate(str(config["optimizer"]["name"])) or config["optimizer"]["lr"],
        **length(prospects[0], seconds, search.gone(), windows_per_step),
    }
    chosen = {key: value for key, value in settings.items() if not is_kept(config, key)}
    table = [_row(each, search.steps_per_pass, prospects[0]) for each in prospects]
    return {
        "name": "budget",
        "time": options.time,
        "device": plan.hardware.device.type,
        "chosen": chosen,
        "typed": as_typed(chosen),
        "seconds": time.time() - began,
        "reason": reason(table, search.tokens),
        "table": table,
    }


def length(prospect: Prospect, budget: float, gone: float, windows_per_step: float) -> dict[str, Any]:
    """The keys of the `trainer` section that say how long the run is, and when it validates."""
    windows = prospect.steps * windows_per_step
    every, of_epochs = VALIDATIONS
    epochs, steps, limit = LENGTH
    return {
        epochs: -1,
        steps: prospect.steps,
        limit: as_max_time(latest(budget, gone, prospect.costs)),
        every: math.ceil(windows / (prospect.schedule.validations + 1)),
        of_epochs: None,
    }


def _fitted_to_the_text(plan: Plan) -> tuple[Plan, TextDataModule]:
    """The plan with as many streams, of such windows, as the text has room for; and the text, cut into them.

    Raises:
        UserError, RunError: as `lstm_lm.training.build.build`.
    """
    config = plan.config.plain
    kept = {key: at(config, key) if is_kept(config, key) else None for key in SHAPE}
    least = _with(plan, {key: value or 1 for key, value in kept.items()})  # any text that can be trained on has room
    data = _read(least)
    if None not in kept.values():
        return least, data
    fitting = shape(data.manifest.splits["train"].tokens, *kept.values())
    shaped = _with(plan, dict(zip(SHAPE, fitting, strict=True)))
    return shaped, _read(shaped)


def _read(plan: Plan) -> TextDataModule:
    with closing(build(plan)) as parts:
        return parts.data


def _with(plan: Plan, settings: dict[str, Any]) -> Plan:
    """The plan with these settings, and nothing left to choose."""
    config = TrainConfig.parse(laid_over(plan.config.plain, settings))
    return plan.with_config(replace(config, runtime=plan.config.runtime))


def _timed(plan: Plan, data: TextDataModule, signals: StopSignals, seconds: float) -> Timing:
    """Of about so many seconds the mean: what else the machine does meanwhile, it will do while the run trains."""
    began = time.perf_counter()
    with closing(StepTrial(plan, data, signals, seconds)) as trial:
        begin = time.perf_counter() - began
        steps = max(STEPS, int(seconds / trial.time(STEPS)))
        return Timing(trial.time(steps), trial.time_around_steps(begin))


def _row(prospect: Prospect, steps_per_pass: float, chosen: Prospect) -> dict[str, Any]:
    size, settings = prospect.size, prospect.settings
    return {
        "layers": size.layers,
        "hidden_size": size.width if isinstance(size.width, int) else list(size.width),
        "embedding_size": size.embedding,
        "parameters": size.parameters,
        "step_ms": prospect.step * 1e3,
        "measured": prospect.measured,
        "affordable_passes": prospect.schedule.steps / steps_per_pass,
        "passes": prospect.steps / steps_per_pass,
        "steps": prospect.steps,
        "dropout": settings.dropout,
        "worse_by": settings.loss - chosen.settings.loss,
        "chosen": prospect is chosen,
    }
