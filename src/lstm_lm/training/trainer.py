"""Lightning's Trainer, as a run has it, and what a run asks it to do."""

from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, ProgressBar, Timer
from lightning.pytorch.loggers import Logger
from rich.console import Console

from lstm_lm.errors import UserError
from lstm_lm.evaluation.scores import Scores
from lstm_lm.training.build import Parts
from lstm_lm.training.control import Control, RunCheckpointIO
from lstm_lm.training.early_stopping import PatientStopping
from lstm_lm.training.observers.metrics import Histograms
from lstm_lm.training.observers.notebook import NotebookProgress
from lstm_lm.training.observers.profiling import make_profiler, report_what_was_interrupted
from lstm_lm.training.observers.progress import ProgressLine
from lstm_lm.training.observers.samples import Samples
from lstm_lm.training.observers.self_logged import SelfLogged
from lstm_lm.training.plan import Plan
from lstm_lm.training.processes.devices import asks_for_several
from lstm_lm.training.processes.team import TeamEnvironment
from lstm_lm.training.results import Results
from lstm_lm.training.runtime.memory import EmptyCache, emptier
from lstm_lm.training.trainer_options import FIXED


def make_callbacks(results: Results, console: Console | None, others: Sequence[pl.Callback] = ()) -> list[pl.Callback]:
    """All callbacks, in the order in which they act on a step; ranks 1, 2, ... have those that decide or compute.

    Those of `others` find the metrics of a step, and are in its checkpoint.
    """
    plan, parts, writer, clock = results.plan, results.parts, results.writer, results.clock
    config, options = plan.config, plan.config.callbacks
    callbacks: list[pl.Callback] = [] if results.watch is None else [results.watch]
    if parts.team.rank == 0:
        callbacks = [clock, *callbacks, results.metrics]
        if options.monitor.histograms_every_n_steps:
            callbacks.append(Histograms(writer, every_n_steps=options.monitor.histograms_every_n_steps))
        show_sample = None
        if console is not None:
            progress = (NotebookProgress if console.is_jupyter else ProgressLine)(config, parts, clock, console)
            callbacks.append(progress)
            show_sample = progress.show_sample
        callbacks.append(Samples(plan, parts, writer, clock, show_sample))
    if options.early_stopping.patience is not None:
        callbacks.append(PatientStopping(options.early_stopping))
    empty = emptier(parts.hardware.device)
    if empty is not None and config.runtime.empty_cache_every_n_batches:
        callbacks.append(EmptyCache(config.runtime.empty_cache_every_n_batches, empty))
    if others:
        callbacks += [*others, SelfLogged(writer)]
    return [*callbacks, results.control]


def make_trainer(
    plan: Plan,
    parts: Parts,
    callbacks: Sequence[pl.Callback],
    io: RunCheckpointIO,
    loggers: Sequence[Logger] = (),
) -> pl.Trainer:
    """A trainer that logs nothing, writes no checkpoint and draws no bar by itself: `callbacks` do.

    Raises:
        UserError: Lightning does not take a key of the `trainer` section.
    """
    config, machine, team = plan.config, parts.hardware, parts.team
    settings: dict[str, Any] = {
        **config.trainer,
        **{key: value for key, (value, _) in FIXED.items()},
        "accelerator": machine.accelerator,
        "precision": machine.precision,
        # Lightning adds its own where these are true and there is none, and refuses others' where they are false
        "enable_progress_bar": any(isinstance(callback, ProgressBar) for callback in callbacks),
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "log_every_n_steps": 1,  # of Lightning's own logging, which would warn that an epoch is shorter
        "profiler": make_profiler(config.trainer.get("profiler"), plan.run.profiler, team.rank, team.size),
    }
    # one is given even to a single process: Lightning would look for a cluster
    environment = LightningEnvironment() if team.size == 1 else TeamEnvironment(team)
    if team.size > 1:
        settings["strategy"] = "ddp" if settings["strategy"] == "auto" else settings["strategy"]
        settings["devices"] = 1 if machine.device.type == "cpu" else [machine.device.index or 0]
    elif asks_for_several(config.trainer):
        settings["strategy"] = "auto"  # one device has nobody to share gradients with
    try:
        trainer = pl.Trainer(
            **settings,
            logger=list(loggers),
            callbacks=list(callbacks),
            plugins=[io, environment],
            default_root_dir=plan.run.path,
        )
    except (MisconfigurationException, ValueError, TypeError, OverflowError) as error:
        raise _refused(error) from error
    # Lightning appends the timer of max_time, and puts whoever writes checkpoints at the end. `Control` must see that
    # it has rung, and save what these know.
    order = {Timer: 0, Control: 2}
    trainer.callbacks.sort(key=lambda callback: order.get(type(callback), 1))  # type: ignore[attr-defined]
    return trainer


def fit(trainer: pl.Trainer, parts: Parts, plan: Plan) -> None:
    """Train, from the plan's checkpoint on.

    Raises:
        UserError: Lightning does not take a key of the `trainer` section.
        Interrupted: a signal came.
    """
    path = None if plan.checkpoint is None else plan.checkpoint.path
    try:
        trainer.fit(parts.task, datamodule=parts.data, ckpt_path=path, weights_only=True)
        parts.task.raise_if_nonfinite()
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


def test(trainer: pl.Trainer, parts: Parts) -> Scores | None:
    """The scores of the test split; None where there is none, or it is left out."""
    if "test" not in parts.data.manifest.splits or trainer.limit_test_batches == 0:
        return None
    trainer.test(parts.task, datamodule=parts.data, verbose=False)
    return parts.task.scores


def stopped_by(trainer: pl.Trainer) -> str | None:
    """What ended training before its limits in steps: the time limit, early stopping, or another's callback."""
    if not trainer.should_stop:
        return None
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    if any(isinstance(each, PatientStopping) and each.stopping_reason.value for each in callbacks):
        return "callbacks.early_stopping"
    left = [each.time_remaining() for each in callbacks if isinstance(each, Timer)]  # asked last: it goes on running
    return "trainer.max_time" if any(time is not None and time <= 0 for time in left) else "a callback"


def _refused(error: Exception) -> UserError:
    return UserError(f"trainer: {' '.join(str(error).split())[:300]}")
