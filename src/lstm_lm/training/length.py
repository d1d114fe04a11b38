"""How long a run is: windows and optimizer steps, from the limits of the `trainer` section."""

import math
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.identity import seconds


def windows_per_epoch(trainer: dict[str, Any], windows: int) -> int:
    """Those of an epoch's `windows` that Lightning takes, which looks at its limits in this order.

    Raises:
        UserError: that is less than one window.
    """
    key = next((key for key in ("overfit_batches", "fast_dev_run") if trainer.get(key)), "limit_train_batches")
    limit = trainer.get(key)
    if limit is None:
        return windows
    if isinstance(limit, float) and not int(windows * limit):
        raise UserError(
            f"trainer.{key}={limit}: less than one of the {windows} windows of an epoch\n"
            f"set a number of windows, or at least {math.ceil(1000 / windows) / 1000:g}"
        )
    return min(windows, int(windows * limit) if isinstance(limit, float) else int(limit))


def check_validation_interval(trainer: dict[str, Any], per_epoch: int) -> None:
    """Refuse an interval between validations that is longer than an epoch.

    Raises:
        UserError: it is.
    """
    interval = trainer.get("val_check_interval")
    unlimited = trainer.get("check_val_every_n_epoch", 1) is None or trainer.get("limit_val_batches") == 0
    if isinstance(interval, int) and interval > per_epoch and not unlimited and not trainer.get("fast_dev_run"):
        raise UserError(
            f"trainer.val_check_interval={interval}: an epoch has only {per_epoch} windows\n"
            f"set {per_epoch} at most, or count through all epochs with trainer.check_val_every_n_epoch=null"
        )


def unreached_steps(trainer: dict[str, Any], steps_per_epoch: int) -> str | None:
    """A line where `max_steps` asks for more than `max_epochs` allows; None: it does not."""
    epochs, steps = trainer.get("max_epochs"), trainer.get("max_steps", -1)
    if epochs in (None, -1) or steps in (None, -1) or trainer.get("fast_dev_run"):
        return None
    allowed = int(epochs) * steps_per_epoch
    if steps <= allowed:
        return None
    return f"trainer.max_steps={steps}: trainer.max_epochs={epochs} ends it at {allowed:,}"


def windows_between_validations(trainer: dict[str, Any], per_epoch: int, window: float) -> float:
    """Training windows from one validation to the next, on average.

    Args:
        trainer: the checked section; its interval is one that `check_validation_interval` takes.
        per_epoch: windows that Lightning takes of an epoch.
        window: seconds that one takes; counts where the interval is a time.
    """
    interval, epochs = trainer.get("val_check_interval"), trainer.get("check_val_every_n_epoch")
    if isinstance(interval, (str, dict)):
        return max(1.0, seconds(interval) / window)
    if interval is None:
        return float(per_epoch * (epochs or 1))
    windows = max(1, int(interval * per_epoch)) if isinstance(interval, float) else int(interval)
    return float(windows if epochs is None else epochs * per_epoch / max(1, per_epoch // windows))


def total_steps_of(config: TrainConfig, steps_per_epoch: int) -> int | None:
    """Optimizer steps that the schedule spans; None: no limit is known.

    Raises:
        UserError: the schedule needs one.
    """
    if config.trainer.get("fast_dev_run"):
        return min(steps_per_epoch, int(config.trainer["fast_dev_run"]))
    epochs, steps = config.trainer.get("max_epochs"), config.trainer.get("max_steps", -1)
    limits = [] if epochs in (None, -1) else [int(epochs) * steps_per_epoch]
    if steps is not None and steps > 0:
        limits.append(int(steps))
    if not limits:
        if not config.scheduler.needs_total_steps:
            return None
        raise UserError(
            f"scheduler={config.scheduler.name}: needs to know how long training takes\n"
            "set trainer.max_epochs or trainer.max_steps, or use scheduler=constant"
        )
    return min(limits)
