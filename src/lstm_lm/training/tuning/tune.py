"""The entrance: from a configuration that asks for tuning to the one that the run has."""

from typing import Any

from rich.console import Console

from lstm_lm.errors import UserError
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.team import Team
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning import table
from lstm_lm.training.tuning.options import LearningRateOptions, NoTuning, SpeedOptions, chosen_config, of_before


def tune(plan: Plan, team: Team, console: Console | None, signals: StopSignals) -> Plan:
    """Measure as `tune=` says, and choose; a run that is resumed keeps the choice that it was begun with.

    Writes nothing: what was found is `tuned` of the configuration, and `table.as_json` makes tuning.json of it.
    Everything that measuring changes in the process (generators, threads, ...) is for the caller to put back
    (`runtime_settings`); the run itself seeds and compiles from scratch.

    Returns:
        The plan to train by: what was open is set; with tune=none, `plan` itself.

    Raises:
        UserError, RunError: as `lstm_lm.training.build.build`; or several processes would train.
        Interrupted: a signal came.
    """
    config = plan.config
    if isinstance(config.tune, NoTuning):
        return plan
    found = _before(plan)
    if found is None:
        found = {**_measured(plan, team, console, signals), "options": config.tune.model_dump(exclude={"name"})}
        if console is not None:
            table.show(found, console)
    elif console is not None and found["chosen"]:
        console.print(f"tune={config.tune.name}, as before: {found['typed']}", highlight=False)
    return plan.with_config(TrainConfig.parse(chosen_config(config.plain, found["chosen"]), tuned=found))


def _before(plan: Plan) -> dict[str, Any] | None:
    """What was found when the run was begun; how it runs fastest holds on the device where that was measured."""
    if plan.checkpoint is None:
        return None
    tuning = of_before(plan.checkpoint.section, plan.config.plain)
    if tuning is not None and isinstance(plan.config.tune, SpeedOptions):
        return tuning if tuning["device"] == plan.hardware.device.type else None
    return tuning


def _measured(plan: Plan, team: Team, console: Console | None, signals: StopSignals) -> dict[str, Any]:
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
        from lstm_lm.training.tuning.speed import tune_speed  # most runs do without either

        return tune_speed(plan, options, signals)
    assert isinstance(options, LearningRateOptions)
    from lstm_lm.training.tuning.learning_rate import tune_learning_rate

    return tune_learning_rate(plan, options, signals)
