"""The entrance: from a configuration that asks for tuning to the one that the run has."""

import dataclasses
from typing import Any

import torch
from rich.console import Console

from lstm_lm.errors import UserError
from lstm_lm.terminal import say_whole
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import Team
from lstm_lm.training.runtime.free_cores import with_free_cores
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning import table
from lstm_lm.training.tuning.budget_options import BudgetOptions
from lstm_lm.training.tuning.options import (
    LearningRateOptions,
    NoTuning,
    SpeedOptions,
    TuneOptions,
    chosen_config,
    of_before,
)


def tune(
    plan: Plan,
    team: Team,
    console: Console | None,
    signals: StopSignals,
    started_at: float,
    free_cores: float | None = None,
) -> Plan:
    """Measure as `tune=` or `budget=` says, and choose; a run that is resumed keeps the choice that it was begun with.

    Writes nothing: what was found is `tuned` of the configuration, and `table.as_json` makes tuning.json of it.
    Everything that measuring changes in the process (generators, threads, ...) is for the caller to put back
    (`runtime_settings`); the run itself seeds and compiles from scratch.

    Args:
        plan: what will run, but for what is left to tuning.
        team: the processes that train.
        console: where a person looks on.
        signals: end it.
        started_at: `time.time()` when the user began to wait.
        free_cores: how many cores nobody else used just now; None: that was not looked at.

    Returns:
        The plan to train by: what was open is set; with tune=none, `plan` itself.

    Raises:
        UserError, RunError: as `lstm_lm.training.build.build`; or several processes would train.
        Interrupted: a signal came.
    """
    config = plan.config
    if isinstance(config.tune, NoTuning):
        return plan
    if isinstance(config.tune, BudgetOptions):  # what is timed takes the threads that the run will
        plan = with_free_cores(plan, team, free_cores)
    found = _before(plan)
    if found is None:
        found = _measured(plan, team, console, signals, started_at, free_cores)
        found["options"] = config.tune.model_dump(exclude={"name"})
        if console is not None:
            table.show(found, console)
    elif console is not None and found["chosen"]:
        before = "summary.json, tuning.typed" if isinstance(config.tune, BudgetOptions) else found["typed"]
        say_whole(console, f"{_typed(config.tune)}, as before:", before)
    tuned = TrainConfig.parse(chosen_config(config.plain, found["chosen"]), tuned=found)
    if isinstance(config.tune, BudgetOptions):
        threads = plan.config.runtime.threads or torch.get_num_threads()
        runtime = tuned.runtime.model_copy(update={"threads": threads})
        tuned = dataclasses.replace(tuned, runtime=runtime, threads_warning=plan.config.threads_warning)
    return plan.with_config(tuned)


def _before(plan: Plan) -> dict[str, Any] | None:
    """What was found when the run was begun; how it runs fastest holds on the device where that was measured."""
    if plan.checkpoint is None:
        return None
    tuning = of_before(plan.checkpoint.section, plan.config.plain)
    if tuning is not None and isinstance(plan.config.tune, SpeedOptions):
        return tuning if tuning["device"] == plan.hardware.device.type else None
    return tuning


def _measured(
    plan: Plan,
    team: Team,
    console: Console | None,
    signals: StopSignals,
    started_at: float,
    free_cores: float | None,
) -> dict[str, Any]:
    options = plan.config.tune
    if isinstance(options, BudgetOptions) and plan.checkpoint is not None:
        raise UserError(
            f"{_typed(options)}: {plan.checkpoint.path} was not begun with budget=, and a run keeps its model\n"
            "leave budget= out to continue it, or start a new run from its weights with init_from="
        )
    if isinstance(options, LearningRateOptions) and plan.checkpoint is not None:
        raise UserError(
            f"tune=lr: {plan.checkpoint.path} was not begun with tune=lr, and a run keeps its learning rate\n"
            "use tune=none to continue it, or start a new run from its weights with init_from="
        )
    if team.size > 1:
        once = "" if isinstance(options, BudgetOptions) else " trainer.max_steps=1"  # whose length is none to set
        raise UserError(
            f"{_typed(options)}: measures in one process, and several would train\n"
            f"tune with one device (device=gpu{once}), and type what it proposes"
        )
    if console is not None:
        console.print(f"{_typed(options)}: measuring before training", highlight=False)
    if isinstance(options, BudgetOptions):
        from lstm_lm.training.tuning.budget import tune_budget  # most runs do without any of these

        return tune_budget(plan, options, signals, started_at)
    if isinstance(options, SpeedOptions):
        from lstm_lm.training.tuning.speed import tune_speed

        untuned = with_free_cores(plan, team, free_cores).config.runtime.threads
        return tune_speed(plan, options, signals, untuned or torch.get_num_threads())
    assert isinstance(options, LearningRateOptions)
    from lstm_lm.training.tuning.learning_rate import tune_learning_rate

    return tune_learning_rate(plan, options, signals)


def _typed(options: TuneOptions) -> str:
    return f"budget={options.time}" if isinstance(options, BudgetOptions) else f"tune={options.name}"
