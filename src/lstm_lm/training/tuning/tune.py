"""The entrance: from a configuration that asks for tuning to the one that the run has."""

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from lstm_lm import hardware
from lstm_lm.errors import UserError
from lstm_lm.runs import atomic, checkpoint_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.callbacks.signals import StopOnSignal
from lstm_lm.training.cluster import lead
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.tuning import table
from lstm_lm.training.tuning.choice import chosen_config, of_before
from lstm_lm.training.tuning.learning_rate import tune_learning_rate
from lstm_lm.training.tuning.options import LearningRateOptions, NoTuning, SpeedOptions
from lstm_lm.training.tuning.speed import tune_speed


def tune(config: TrainConfig, checkpoint: Path | None, run: RunDirectory, console: Console | None) -> TrainConfig:
    """Measure as `tune=` says, and choose; a run that continues `checkpoint` keeps the choice that it was begun with.

    Leaves `tuning.json` in `run`. Everything else that measuring changes in the process (generators, threads, ...) is
    for the caller to put back (`runtime_settings`); the run itself seeds and compiles anew.

    Returns:
        The configuration to train with: what was open is set; with tune=none, `config` itself.

    Raises:
        UserError, RunError: as `lstm_lm.training.parts.build_parts`; or several processes would train.
        Interrupted: a signal came.
    """
    if isinstance(config.tune, NoTuning):
        return config
    tuning = _before(config, checkpoint)
    if tuning is not None:
        if console is not None and tuning["chosen"]:
            console.print(f"tune={config.tune.name}, as before: {tuning['typed']}", highlight=False)
    else:
        options = config.tune.model_dump(mode="json", exclude={"name"})
        tuning = {**_now(config, checkpoint, console), "options": options}
        if console is not None:
            table.show(tuning, console)
    atomic.write_text(run.tuning, json.dumps(tuning, indent=2) + "\n")
    return TrainConfig.parse(chosen_config(config.plain, tuning["chosen"]), tuned=tuning)


def _before(config: TrainConfig, checkpoint: Path | None) -> dict[str, Any] | None:
    """What was found when the run was begun; how it runs fastest holds on the device where that was measured."""
    if checkpoint is None:
        return None
    tuning = of_before(checkpoint_file.load(checkpoint)["lstm_lm"], config.plain)
    if tuning is not None and isinstance(config.tune, SpeedOptions):
        here = hardware.resolve(config.trainer).device.type
        return tuning if tuning["device"] == here else None
    return tuning


def _now(config: TrainConfig, checkpoint: Path | None, console: Console | None) -> dict[str, Any]:
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
            return tune_speed(config, options, checkpoint)
        assert isinstance(options, LearningRateOptions)
        return tune_learning_rate(config, options, signals)
