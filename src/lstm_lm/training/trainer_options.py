"""The configuration's `trainer` section: Lightning's own keys, checked before any text is read.

What Lightning checks itself it is asked for: a throw-away trainer is made of the section. What it would take and choke
on later, and what would change this process or depends on the machine, is checked here.
"""

import difflib
import inspect
import math
import warnings
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException

from lstm_lm.errors import UserError
from lstm_lm.forward.hardware import read_devices
from lstm_lm.options import shown_key
from lstm_lm.training.processes.devices import STRATEGIES
from lstm_lm.training.runtime.quiet import quiet_lightning

OWNED = {
    "logger": "use the group `logger`",
    "callbacks": "use the group `callbacks`",
    "plugins": "the project sets its own",
    "default_root_dir": "use hydra.run.dir",
    "barebones": "it measures Lightning without logging and checkpoints, which a run here always has",
}
"""Trainer arguments that are objects, or that the run directory decides."""

FIXED: dict[str, tuple[Any, str]] = {
    "limit_predict_batches": (None, "nothing is predicted while training; evaluate has a limit of its own"),
    "num_nodes": (1, "torchrun and SLURM say how many machines there are"),
    "use_distributed_sampler": (False, "the project itself gives each process its share of the text"),
    "enable_autolog_hparams": (False, "the project logs hyperparameters itself, with the final metrics"),
    "sync_batchnorm": (False, "no model here has a batch norm"),
    "reload_dataloaders_every_n_epochs": (0, "the text does not change while it is trained on"),
    "model_registry": (None, "checkpoints stay in the run directory"),
}
"""Those that would have no effect here, or a wrong one: the one value that is taken, and why no other is."""

AT_LEAST = {
    "max_epochs": -1,
    "min_epochs": 0,
    "max_steps": -1,
    "min_steps": 0,
    "accumulate_grad_batches": 1,
    "log_every_n_steps": 1,
    "check_val_every_n_epoch": 1,
    "num_sanity_val_steps": -1,
    "gradient_clip_val": 0,
}
WINDOWS = (
    "limit_train_batches",
    "limit_val_batches",
    "limit_test_batches",
    "overfit_batches",
)
"""How many (int), or which part of them (float)."""
ONE_OF: dict[str, tuple[Any, ...]] = {
    "enable_checkpointing": (True, False),
    "enable_progress_bar": (True, False),
    "enable_model_summary": (True, False),
    "inference_mode": (True, False),
    "detect_anomaly": (True, False),
    "benchmark": (True, False),
    "deterministic": (True, False, "warn"),
    "profiler": ("simple", "advanced", "pytorch"),
    "gradient_clip_algorithm": ("norm", "value"),
}
OF_THEIR_OWN = (
    *("accelerator", "devices", "strategy", "precision"),
    *("fast_dev_run", "max_time", "val_check_interval"),
)
"""Those that are checked each in its own way."""
TAKEN = frozenset({*AT_LEAST, *WINDOWS, *ONE_OF, *OF_THEIR_OWN, *FIXED})
"""All that the section may hold. With OWNED, all that Lightning's Trainer takes: a test asks each for its effect."""
NOT_TRIED = (
    *("accelerator", "devices", "strategy", "num_nodes", "precision"),  # the machine's: see `hardware.resolve`
    *("deterministic", "benchmark", "detect_anomaly"),  # set for the whole process
    *("profiler", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"),  # make objects
)
"""Keys that the throw-away trainer is not given."""
NEEDED = ("log_every_n_steps",)
NOT_NEEDED = ("check_val_every_n_epoch",)
"""Null is for the keys whose default is null, but not for NEEDED; and for NOT_NEEDED, which has another default."""

_PARAMETERS = {
    name: parameter for name, parameter in inspect.signature(pl.Trainer.__init__).parameters.items() if name != "self"
}
_REFUSALS = (MisconfigurationException, ValueError, TypeError, AttributeError, OverflowError)
"""What Lightning 2.6 raises on a value that it does not take; a wrong type fails in its arithmetic."""
_LONGEST_CAUSE = 200


def check_trainer(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section as it goes to `lightning.pytorch.Trainer`.

    Raises:
        UserError: a key that Lightning doesn't know or that another group sets, or a value that it does not take.
    """
    known = sorted(TAKEN & set(_PARAMETERS))
    for key, value in section.items():
        if key in OWNED:
            raise UserError(f"trainer.{key}: {OWNED[key]}")
        if key in set(_PARAMETERS) - TAKEN:
            raise UserError(f"trainer.{key}: this version of Lightning has it; nothing here makes use of it")
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=3)
            hint = f"\ndid you mean: {', '.join(near)}" if near else ""
            raise UserError(f"trainer.{shown_key(key)}: Lightning's Trainer has no such argument{hint}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"trainer.{key}={value}: must be a finite number")
        if key in FIXED:
            _check_fixed(key, value)
        elif value is None:
            _check_null(key)
        else:
            _check_value(key, value)
    if section.get("max_epochs") == 0 or section.get("max_steps") == 0:
        raise UserError("trainer.max_epochs and trainer.max_steps: must be 1 or more, or -1 for no limit")
    _try(section)
    return {key: _as_taken(key, value) for key, value in section.items()}


def _as_taken(key: str, value: Any) -> Any:
    """3.0 windows are 3: for Lightning, too, but for `overfit_batches`, which it takes as a share then."""
    counts = key in (*WINDOWS, "val_check_interval") and isinstance(value, float) and value > 1
    return int(value) if counts else value


def _check_fixed(key: str, value: Any) -> None:
    taken, why = FIXED[key]
    if value != taken or type(value) is not type(taken):
        shown = "null" if taken is None else _shown(taken)
        raise UserError(f"trainer.{key}={_shown(value)}: {why}\nleave trainer.{key}={shown}")


def _check_null(key: str) -> None:
    nullable = _PARAMETERS[key].default is None or key in NOT_NEEDED
    if not nullable or key in NEEDED:
        raise UserError(f"trainer.{key}=null: must have a value; by default it is the one in conf/trainer/default.yaml")


def _check_value(key: str, value: Any) -> None:
    typed = f"trainer.{key}={_shown(value)}"
    if key in AT_LEAST:
        least, fractional = AT_LEAST[key], key == "gradient_clip_val"
        if isinstance(value, bool) or not isinstance(value, (int, float) if fractional else int) or value < least:
            kind = "a number" if fractional else "an integer"
            raise UserError(f"{typed}: must be {kind}, {least} or more")
    elif key in ONE_OF and not any(type(value) is type(choice) and value == choice for choice in ONE_OF[key]):
        choices = [str(choice).lower() for choice in ONE_OF[key]]
        raise UserError(f"{typed}: must be {', '.join(choices[:-1])} or {choices[-1]}")
    elif key in WINDOWS:
        _check_windows(typed, value, none_is_well=key != "limit_train_batches")
    elif key == "val_check_interval":
        if not isinstance(value, (str, dict)):
            _check_windows(typed, value, none_is_well=False)
    elif key == "max_time" and not isinstance(value, (str, dict)):
        raise UserError(f"{typed}: must be a duration: days:hours:minutes:seconds, as 00:08:00:00")
    elif key == "fast_dev_run" and (not isinstance(value, int) or value < 0):
        raise UserError(f"{typed}: must be true, false, or a number of windows")
    elif key == "devices":
        read_devices(value)
    elif key == "strategy" and value not in STRATEGIES:
        raise UserError(
            f"{typed}: several devices work together with device=ddp\nchoose one of: {', '.join(STRATEGIES)}"
        )


def _check_windows(typed: str, value: Any, *, none_is_well: bool) -> None:
    well = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
    if not well or (value == 0 and not none_is_well) or (value > 1 and value != int(value)):
        least = "0 or more" if none_is_well else "1 or more"
        part = "0.0 to 1.0" if none_is_well else "above 0.0, up to 1.0"
        raise UserError(f"{typed}: must be a number of windows ({least}) or a part of them ({part})")


def _try(section: Mapping[str, Any]) -> None:
    """Have Lightning check `section`; where it refuses, find the key it means.

    Raises:
        UserError: it refuses.
    """
    tried = {key: value for key, value in section.items() if key not in NOT_TRIED}
    cause = _refusal(tried)
    if cause is None:
        return
    for key, value in tried.items():
        if (alone := _refusal({key: value})) is not None:
            raise UserError(f"trainer.{key}={_shown(value)}: Lightning does not take it:\n{alone}")
    raise UserError(f"trainer: Lightning does not take these values together:\n{cause}")


def _refusal(settings: Mapping[str, Any]) -> str | None:
    """What a trainer of `settings` is refused with, as one line; None: it is not."""
    with quiet_lightning(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the trainer that trains gives the same warnings
        try:
            pl.Trainer(
                **settings,
                accelerator="cpu",
                devices=1,
                plugins=[LightningEnvironment()],  # a cluster is not to be looked for
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )
        except _REFUSALS as error:
            return " ".join(str(error).split())[:_LONGEST_CAUSE] or type(error).__name__
    return None


def _shown(value: Any) -> str:
    """As it is typed."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(text.split())[:_LONGEST_CAUSE]
