"""What every process of a run does, in the same order: parts, trainer, fit, last validation, test.

Whatever one process does here that others wait for (a step, a checkpoint, a decision), all must do.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Timer
from rich.console import Console

from lstm_lm.data.module import TextDataModule
from lstm_lm.errors import UserError
from lstm_lm.evaluation.scores import Scores
from lstm_lm.models.weights import model_weights
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training import compiling
from lstm_lm.training.callbacks.checkpoints import Checkpoints
from lstm_lm.training.callbacks.continuing import Continuing
from lstm_lm.training.callbacks.early_stopping import GiveUp
from lstm_lm.training.callbacks.signals import StopOnSignal
from lstm_lm.training.checkpoint_io import GuardedCheckpointIO
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.distributed import AlreadyThere, Team, asks_for_several
from lstm_lm.training.parts import Parts, build_parts
from lstm_lm.training.profiling import make_profiler, report_what_was_interrupted
from lstm_lm.training.run_logger import RunLogger
from lstm_lm.training.runtime.empty_cache import EmptyCache, emptier
from lstm_lm.training.trainer_options import FIXED


def prepare(config: TrainConfig, checkpoint: Path | None, team: Team, data: TextDataModule | None = None) -> Parts:
    """The parts, compiled where that is asked for; `data`: as for `build_parts`.

    Raises:
        UserError, RunError: as `build_parts`; nothing of it can be compiled here.
    """
    compiling.reset()
    parts = build_parts(config, checkpoint, team, data)
    if config.compile.enabled:
        profiler = config.trainer.get("profiler")
        compiling.check_possible(config.compile.mode, parts.hardware.device, profiler=profiler)
        compiling.compile_parts(parts.model, parts.task.objective, config.compile.mode)
    return parts


def make_checkpoints(
    config: TrainConfig, run: RunDirectory, team: Team, start: Path | None, console: Console | None = None
) -> Checkpoints | None:
    """What writes checkpoints; None where they are turned off.

    Args:
        config: the configuration.
        run: where they are written.
        team: the processes.
        start: the one that is continued.
        console: hears of one that cannot be written.
    """
    if not config.trainer.get("enable_checkpointing", True) or config.trainer.get("fast_dev_run"):
        return None
    options = config.callbacks.checkpoint
    return Checkpoints(
        run,
        every_n_steps=options.every_n_steps,
        every_n_minutes=options.every_n_minutes,
        keep=options.keep,
        team=team,
        start=start,
        console=console,
    )


def make_trainer(
    config: TrainConfig,
    parts: Parts,
    run: RunDirectory,
    checkpoints: Checkpoints | None,
    signals: StopOnSignal,
    *,
    logger: RunLogger | None = None,
    first: Sequence[pl.Callback] = (),
    then: Sequence[pl.Callback] = (),
) -> pl.Trainer:
    """Lightning's trainer. What only tells about the run is given by the one process that does: a logger, callbacks.

    Args:
        config: the configuration.
        parts: what is trained.
        run: where Lightning may write.
        checkpoints: writes them.
        signals: ends a run.
        logger: what is recorded goes there.
        first: callbacks before `checkpoints`: what is logged of a step must be there when its checkpoint is.
        then: callbacks after it.

    Raises:
        UserError: Lightning does not take a key of the `trainer` section.
    """
    callbacks: list[pl.Callback] = [*first]
    if checkpoints is not None:
        callbacks.append(checkpoints)
    callbacks += then
    if config.callbacks.early_stopping.patience is not None:
        callbacks.append(GiveUp(config.callbacks.early_stopping))
    empty = emptier(parts.hardware.device)
    if empty is not None and config.runtime.empty_cache_every_n_batches:
        callbacks.append(EmptyCache(config.runtime.empty_cache_every_n_batches, empty))
    callbacks += [signals, Continuing()]
    if parts.task.nonfinite is not None and checkpoints is not None:
        parts.task.nonfinite.checkpoint = lambda: checkpoints.newest
    settings: dict[str, Any] = {
        **config.trainer,
        **{key: value for key, (value, _) in FIXED.items()},
        "accelerator": parts.hardware.accelerator,
        "precision": parts.hardware.precision,
        "enable_progress_bar": False,  # the project draws its own
        "enable_checkpointing": False,  # `Checkpoints` writes them
        # Lightning's own logging is not used; it would warn that an epoch is shorter than its interval
        "log_every_n_steps": 1,
        "profiler": make_profiler(config.trainer.get("profiler"), run.profiler, parts.team.rank, parts.team.size),
    }
    plugins: list[Any] = [checkpoints.io if checkpoints is not None else GuardedCheckpointIO()]
    if parts.team.size > 1:
        settings["strategy"] = "ddp" if settings["strategy"] == "auto" else settings["strategy"]
        device = parts.hardware.device
        settings["devices"] = 1 if device.index is None or device.type == "cpu" else [device.index]
        plugins.append(AlreadyThere(parts.team))
    else:
        plugins.append(LightningEnvironment())  # else Lightning would take a SLURM job's other tasks for its own
        if asks_for_several(config.trainer):
            settings["strategy"] = "auto"  # one device has nobody to share gradients with
    try:
        trainer = pl.Trainer(
            **settings,
            logger=logger or False,
            callbacks=callbacks,
            plugins=plugins,
            default_root_dir=run.path,
        )
    except (MisconfigurationException, ValueError, TypeError, OverflowError) as error:
        raise _refused(error) from error
    # Lightning appends the timer of max_time; `Checkpoints` must come after it to see that it has rung
    trainer.callbacks.sort(key=lambda callback: not isinstance(callback, Timer))  # type: ignore[attr-defined]
    return trainer


def fit(trainer: pl.Trainer, parts: Parts, checkpoint: Path | None) -> None:
    """Train, from `checkpoint` on.

    Raises:
        UserError: Lightning does not take a key of the `trainer` section.
        Interrupted: a signal came.
    """
    try:
        trainer.fit(parts.task, datamodule=parts.data, ckpt_path=checkpoint, weights_only=True)
        parts.task.settle()
    except BaseException as error:
        if parts.task.train_loss is not None:
            report_what_was_interrupted(trainer)
        if isinstance(error, MisconfigurationException):
            raise _refused(error) from error
        raise


def validate_the_end(trainer: pl.Trainer, parts: Parts) -> None:
    """Training ends with a validation, whatever the limit that ended it."""
    if parts.task.validated_at != trainer.global_step and trainer.limit_val_batches != 0:
        trainer.validate(parts.task, datamodule=parts.data, verbose=False)


def take_best(parts: Parts, run: RunDirectory, checkpoints: Checkpoints | None) -> None:
    """Give the model the weights of the best checkpoint, where there is one; their average, where there is one."""
    if checkpoints is not None and checkpoints.best is not None and not checkpoints.best_is_trained:
        parts.model.load_state_dict(model_weights(checkpoint_file.load(run.best)))
        parts.task.average.forget()
    else:
        parts.task.average.keep()


def test(trainer: pl.Trainer, parts: Parts) -> Scores | None:
    """The scores of the test split; None where there is none, or it is left out."""
    if "test" not in parts.data.manifest.splits or trainer.limit_test_batches == 0:
        return None
    trainer.test(parts.task, datamodule=parts.data, verbose=False)
    assert parts.task.scores is not None
    return parts.task.scores


def _refused(error: Exception) -> UserError:
    return UserError(f"trainer: {' '.join(str(error).split())[:300]}")
