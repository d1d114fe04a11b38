"""The entrance: from a configuration that asks for tuning to the one that the run has."""

from pathlib import Path
from typing import Any

from rich.console import Console

from lstm_lm.errors import UserError
from lstm_lm.forward import hardware
from lstm_lm.runs import checkpoint_file
from lstm_lm.training.callbacks.signals import StopOnSignal
from lstm_lm.training.cluster import lead
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.tuning import table
from lstm_lm.training.tuning.choice import chosen_config, of_before
from lstm_lm.training.tuning.learning_rate import tune_learning_rate
from lstm_lm.training.tuning.options import LearningRateOptions, NoTuning, SpeedOptions
from lstm_lm.training.tuning.speed import tune_speed


def tune(config: TrainConfig, checkpoint: Path | None, console: Console | None) -> TrainConfig:
    """Measure as `tune=` says, and choose; a run that continues `checkpoint` keeps the choice that it was begun with.

    Writes nothing: what was found is `tuned` of what is returned, and `table.as_json` makes tuning.json of it.
    Everything that measuring changes in the process (generators, threads, ...) is for the caller to put back
    (`runtime_settings`); the run itself seeds and compiles from scratch.

    Returns:
        The configuration to train with: what was open is set; with tune=none, `config` itself.

    Raises:
        UserError, RunError: as `lstm_lm.training.parts.build_parts`; or several processes would train.
        Interrupted: a signal came.
    """
    if isinstance(config.tune, NoTuning):
        return config
    found = None if checkpoint is None else _before(config, checkpoint)
    if found is None:
        found = {**_measured(config, checkpoint, console), "options": config.tune.model_dump(exclude={"name"})}
        if console is not None:
            table.show(found, console)
    elif console is not None and found["chosen"]:
        console.print(f"tune={config.tune.name}, as before: {found['typed']}", highlight=False)
    return TrainConfig.parse(chosen_config(config.plain, found["chosen"]), tuned=found)


def _before(config: TrainConfig, checkpoint: Path) -> dict[str, Any] | None:
    """What was found when the run was begun; how it runs fastest holds on the device where that was measured."""
    found = of_before(checkpoint_file.load(checkpoint)["lstm_lm"], config.plain)
    if found is None or not isinstance(config.tune, SpeedOptions):
        return found
    return found if found["device"] == hardware.resolve(config.trainer).device.type else None


def _measured(config: TrainConfig, checkpoint: Path | None, console: Console | None) -> dict[str, Any]:
    options = config.tune
    if isinstance(options, LearningRateOptions) and checkpoint is not None:
        raise UserError(
            f"tune=lr: {checkpoint} was not begun with tune=lr, and a run keeps its learning rate\n"
            "use tune=none to continue it, or start a new run from its weights with init_from="
        )
    if lead(config.trainer).size > 1:
        raise UserError(
            f"tune={options.name}: measures in one process, and several would train\n"
            "tune with one device (device=gpu trainer.max_steps=1), and type what it proposes"
        )
    if console is not None:
        console.print(f"tune={options.name}: measuring before training", highlight=False)
    with StopOnSignal(None) as signals:
        if isinstance(options, SpeedOptions):
            return tune_speed(config, options, checkpoint, signals)
        assert isinstance(options, LearningRateOptions)
        return tune_learning_rate(config, options, signals)
