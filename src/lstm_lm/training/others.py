"""Other people's loggers and callbacks: which are taken, and what a checkpoint knows of them.

A callback's state is saved by Lightning, and comes back from a file that anybody may have made. So it is plain values
and tensors (`runs/untrusted.py`), it is given to that callback alone that the caller names, and only if it has the
fields and types that the callback's state has now. What a callback then makes of it is the caller's code. Files that a
state names are not removed (`RunCheckpointIO`).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
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
    Timer,
    WeightAveraging,
)
from lightning.pytorch.loggers import Logger
from torch import Tensor

from lstm_lm.errors import UserError
from lstm_lm.runs.checkpoint_fields import misfit
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.untrusted import foreign_in
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
    Timer: "use trainer.max_time",
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
        for key, state in self._states().items():
            refuse_foreign(key, state)
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

    def may_have_ended(self, saved: Mapping[str, Any]) -> bool:
        """Whether a run that some callback has stopped would be stopped by these; `saved` are its states.

        A callback that is not Lightning's may stop what it likes.
        """
        for callback in self.callbacks:
            if isinstance(callback, EarlyStopping):
                state = saved.get(callback.state_key)
                if isinstance(state, Mapping) and state.get("patience") == callback.patience:
                    return True
            elif not type(callback).__module__.startswith("lightning."):
                return True
        return False

    def resume(self, plan: Plan) -> Plan:
        """The plan, whose checkpoint has the states of these callbacks and no others'; warnings say what is new.

        Early stopping keeps the patience that it is given now, as `callbacks.early_stopping` does.

        Raises:
            UserError: a state is not one of its callback's, and resume=force does not say to begin that one anew.
        """
        if plan.checkpoint is None:
            return plan
        saved: dict[str, Any] = plan.checkpoint.content["callbacks"]
        path, warnings = plan.checkpoint.path, []
        fresh = self._states()
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
        for callback in self.callbacks:
            if isinstance(callback, EarlyStopping) and callback.state_key in saved:
                saved[callback.state_key]["patience"] = callback.patience
        for key, state in fresh.items():
            if state and key not in saved:
                warnings.append(f"{key.partition('{')[0]}: begins anew, for {path} holds no state of it")
        return replace(plan, warnings=(*plan.warnings, *warnings))

    def _states(self) -> dict[str, Any]:
        """By their keys, as they are before training: what a checkpoint's are held against; None: not there yet."""
        states: dict[str, Any] = {}
        for callback in self.callbacks:
            states[callback.state_key] = None
            with suppress(Exception):  # it need not work before its `setup`; where it never does, saving says so
                states[callback.state_key] = callback.state_dict()
        return states


NOBODY = Others()


def refuse_foreign(key: str, state: Any) -> None:
    """Before a checkpoint has it that could not be loaded.

    Raises:
        UserError: the state of the callback `key` is not of tensors and plain values.
    """
    if (foreign := foreign_in(state)) is not None:
        raise UserError(
            f"callbacks: {key.partition('{')[0]:.100}.state_dict() holds what a checkpoint cannot: {foreign}\n"
            "make it tensors and plain values there: numbers, text, lists, dictionaries"
        )


def _is_folder(run: RunDirectory, callback: ModelCheckpoint) -> bool:
    return callback.dirpath is not None and Path(callback.dirpath).resolve() == run.checkpoints.resolve()


def _fits(value: Any, fresh: Any) -> bool:
    """Whether `value` has the names and types of `fresh`, which is None or empty where there is nothing yet."""
    if fresh is None:
        return True
    if isinstance(fresh, Mapping):
        return isinstance(value, Mapping) and all(name in value and _fits(value[name], fresh[name]) for name in fresh)
    if isinstance(fresh, Tensor):
        same = isinstance(value, Tensor) and (value.shape == fresh.shape or not fresh.numel())
        return same and value.is_floating_point() == fresh.is_floating_point()
    if isinstance(fresh, (list, tuple)):
        return isinstance(value, (list, tuple))
    numbers = (int, float)
    return type(value) is type(fresh) or (type(value) in numbers and type(fresh) in numbers)
