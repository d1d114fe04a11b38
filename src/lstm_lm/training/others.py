"""Other people's loggers and callbacks: which are taken, and what a checkpoint knows of them.

A callback's state is saved by Lightning, and comes back from a file that anybody may have made. So it is plain values
and tensors (`runs/untrusted.py`), it is given to that callback alone that the caller names, and only if it has the
fields and types that the callback's state has now. What a callback then makes of it is the caller's code. Files that a
state names are not removed (`RunCheckpointIO`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelCheckpoint,
    OnExceptionCheckpoint,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.loggers import Logger
from torch import Tensor

from lstm_lm.errors import UserError
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.untrusted import misfit
from lstm_lm.training.plan import Plan

OWN_STATES = ("PatientStopping", "Timer")
"""Callbacks of this project's own, by class, that have a state in a checkpoint."""
INSTEAD: dict[type[pl.Callback], str] = {
    GradientAccumulationScheduler: "the schedule counts its steps before: use trainer.accumulate_grad_batches",
    BatchSizeFinder: "use data.batch_size",
    LearningRateFinder: "use tune=lr",
    StochasticWeightAveraging: "use averaging=asgd",
    WeightAveraging: "use averaging=ema or asgd",
    OnExceptionCheckpoint: "a run saves itself: callbacks.checkpoint",
}
"""Lightning's callbacks that take what a run has decided, and what to use."""


class Others(NamedTuple):
    """What a caller of `train` has brought."""

    loggers: Sequence[Logger] = ()
    callbacks: Sequence[pl.Callback] = ()

    def check(self, run: RunDirectory, processes: int) -> None:
        """Refuse what cannot work, before anything is written.

        Raises:
            UserError: says which, and what to use.
        """
        for logger in self.loggers:
            if not isinstance(logger, Logger):
                raise UserError(f"loggers: {type(logger).__name__} is no lightning.pytorch.loggers.Logger")
        for callback in self.callbacks:
            name = type(callback).__name__
            if not isinstance(callback, pl.Callback):
                raise UserError(f"callbacks: {name} is no lightning.pytorch.Callback")
            for kind, instead in INSTEAD.items():
                if isinstance(callback, kind):
                    raise UserError(f"callbacks: {name} cannot be used here; {instead}")
            if isinstance(callback, ModelCheckpoint) and _is_folder(run, callback):
                raise UserError(
                    f"callbacks: {name}(dirpath={str(callback.dirpath)!r}): the run's own checkpoints are there\n"
                    "name another folder, or none: then it is checkpoints/callbacks below the run directory"
                )
        keys = [callback.state_key for callback in self.callbacks]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise UserError(
                f"callbacks: {twice[0]:.100} is there twice, and a checkpoint could not tell their states apart"
            )
        if processes > 1 and (self.callbacks or self.loggers):
            raise UserError(
                f"loggers and callbacks are objects of this process, and {processes} others would train\n"
                "train with one device (device=auto), or choose a logger by its name (logger=mlflow)"
            )

    def settle(self, run: RunDirectory, *, validates: bool) -> None:
        """Decide what is left open.

        Lightning would have early stopping look at an epoch's end, which is not passed again where a run resumes right
        behind it, whereas a validation that is due is made.
        """
        for callback in self.callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(run.checkpoints / "callbacks")
            if isinstance(callback, EarlyStopping) and callback._check_on_train_epoch_end is None and validates:
                callback._check_on_train_epoch_end = False

    def resume(self, plan: Plan) -> Plan:
        """The plan, whose checkpoint has the states of these callbacks and no others'; warnings say what is new.

        Raises:
            UserError: a state is not one of its callback's, and resume=force does not say to begin that one anew.
        """
        if plan.checkpoint is None:
            return plan
        saved: dict[str, Any] = plan.checkpoint.content["callbacks"]
        path, warnings = plan.checkpoint.path, []
        fresh = {callback.state_key: callback.state_dict() for callback in self.callbacks}
        for key in list(saved):
            name = key.partition("{")[0]
            if not isinstance(saved[key], dict):
                raise misfit(path, f"callbacks.{key:.100}: is no state")
            if key not in fresh and name not in OWN_STATES:
                del saved[key]
                warnings.append(f"{name:.100}: has a state in {path}, and is not among callbacks= now: left out")
            elif key in fresh and not _fits(saved[key], fresh[key]):
                if plan.config.top.resume != "force":
                    raise UserError(
                        f"{path}: what it holds of {name:.100} is no state of that callback as it is now\n"
                        "leave it out of callbacks=, or have it begin anew with resume=force"
                    )
                del saved[key]
        for key, state in fresh.items():
            if state and key not in saved:
                warnings.append(f"{key.partition('{')[0]}: begins anew, for {path} holds no state of it")
        return replace(plan, warnings=(*plan.warnings, *warnings))


NOBODY = Others()


def _is_folder(run: RunDirectory, callback: ModelCheckpoint) -> bool:
    return callback.dirpath is not None and Path(callback.dirpath).resolve() == run.checkpoints.resolve()


def _fits(value: Any, fresh: Any) -> bool:
    """Whether `value` has the names and types of `fresh`, which is None or empty where there is nothing yet."""
    if fresh is None:
        return True
    if isinstance(fresh, Mapping):
        return isinstance(value, Mapping) and all(name in value and _fits(value[name], fresh[name]) for name in fresh)
    if isinstance(fresh, Tensor):
        same = isinstance(value, Tensor) and value.shape == fresh.shape
        return same and value.is_floating_point() == fresh.is_floating_point()
    if isinstance(fresh, (list, tuple)):
        return isinstance(value, (list, tuple))
    if isinstance(fresh, float):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return type(value) is type(fresh)
