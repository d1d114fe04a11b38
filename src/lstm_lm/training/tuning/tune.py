"""The entrance: from a configuration that asks for tuning to the one that the run has."""

from typing import Any

from rich.console import Console

from lstm_lm.errors import UserError
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import Team
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning import table
from lstm_lm.training.tuning.choice import chosen_config, of_before
from lstm_lm.training.tuning.options import LearningRateOptions, NoTuning, SpeedOptions


def tune(plan: Plan, team: Team, console: Console | None, signals: StopSignals) -> Plan:
    """Measure as `tune=` says, and choose; a run that continues `checkpoint` keeps the choice that it was begun with.

    Leaves `tuning.json` in `run`. Everything else that measuring changes in the process (generators, threads, ...) is
    for the caller to put back (`runtime_settings`); the run itself seeds and compiles anew.

    Returns:
        The configuration to train with: what was open is set; with tune=none, `config` itself.

    Raises:
        UserError, RunError: as `lstm_lm.training.parts.build_parts`; or several processes would train.
        Interrupted: a signal came.
    """
    config, checkpoint = plan.config, plan.checkpoint
    if isinstance(config.tune, NoTuning):
        return plan
    tuning = _before(plan)
    if tuning is not None:
        if console is not None and tuning["chosen"]:
            console.print(f"tune={config.tune.name}, as before: {tuning['typed']}", highlight=False)
    else:
        options = config.tune.model_dump(mode="json", exclude={"name"})
        tuning = {**_now(plan, team, console, signals), "options": options}
        if console is not None:
            table.show(tuning, console)
    return plan.with_config(TrainConfig.parse(chosen_config(config.plain, tuning["chosen"]), tuned=tuning))


def _before(plan: Plan) -> dict[str, Any] | None:
    """What was found when the run was begun; how it runs fastest holds on the device where that was measured."""
    if plan.checkpoint is None:
        return None
    tuning = of_before(plan.checkpoint.section, plan.config.plain)
    if tuning is not None and isinstance(plan.config.tune, SpeedOptions):
        return tuning if tuning["device"] == plan.hardware.device.type else None
    return tuning


def _now(plan: Plan, team: Team, console: Console | None, signals: StopSignals) -> dict[str, Any]:
    options = plan.config.tune
    if isinstance(options, LearningRateOptions) and plan.checkpoint is not None:
        raise UserError(
            f"tune=lr: {plan.checkpoint.path} was not begun with tune=lr, and a run keeps its learning rate\n"
            "use tune=none to continue it, or start a new run from its weights with init_from="
        )
    if team.size > 1:
        raise UserError(
            f"tune={options.name}: measures in one process, and several would train\n"
            "tune with one device (device=gpu trainer.max_steps=1), and type what it proposes"
        )
    if console is not None:
        console.print(f"tune={options.name}: measuring before training", highlight=False)
    if isinstance(options, SpeedOptions):
        from lstm_lm.training.tuning.speed import tune_speed

        return tune_speed(plan, options)
    assert isinstance(options, LearningRateOptions)
    from lstm_lm.training.tuning.learning_rate import tune_learning_rate

    return tune_learning_rate(plan, options, signals)
