"""The configuration's `trainer` section: Lightning's own keys, checked before any text is read.

What Lightning checks itself it is asked for: a throw-away trainer is made of the section. What it would take and choke
on later, and what would change this process or depends on the machine, is checked here.
"""

import difflib
import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.utilities.exceptions import MisconfigurationException

from lstm_lm.errors import UserError
from lstm_lm.forward.hardware import read_devices
from lstm_lm.options import shown_key
from lstm_lm.training.processes.devices import LIGHTNING_STRATEGIES
from lstm_lm.training.runtime.settings import quiet_lightning

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


class Rule(NamedTuple):
    """Which values a key takes, null apart."""

    allows: Callable[[Any], bool]
    allowed: str
    """The same, for people."""


def _number(least: int, *kinds: type) -> Rule:
    kind = "a number" if float in kinds else "an integer"
    return Rule(lambda value: type(value) in kinds and value >= least, f"{kind}, {least} or more")


def _windows(least: int) -> Rule:
    """How many (int), or which part of them (float)."""
    part = "above 0.0, up to 1.0" if least else "0.0 to 1.0"
    return Rule(
        lambda value: type(value) in (int, float) and (0 < value <= 1 or (value >= least and value == int(value))),
        f"a number of windows ({least} or more) or a part of them ({part})",
    )


def _one_of(*choices: Any) -> Rule:
    shown = [str(choice).lower() for choice in choices]
    return Rule(
        lambda value: any(type(value) is type(choice) and value == choice for choice in choices),
        f"{', '.join(shown[:-1])} or {shown[-1]}",
    )


RULES: dict[str, Rule] = {
    **dict.fromkeys(("max_epochs", "max_steps", "num_sanity_val_steps"), _number(-1, int)),
    **dict.fromkeys(("min_epochs", "min_steps"), _number(0, int)),
    **dict.fromkeys(("accumulate_grad_batches", "log_every_n_steps", "check_val_every_n_epoch"), _number(1, int)),
    "gradient_clip_val": _number(0, int, float),
    "limit_train_batches": _windows(1),
    **dict.fromkeys(("limit_val_batches", "limit_test_batches", "overfit_batches"), _windows(0)),
    "val_check_interval": Rule(
        lambda value: isinstance(value, (str, dict)) or _windows(1).allows(value), _windows(1).allowed
    ),
    **dict.fromkeys(("enable_checkpointing", "enable_progress_bar", "enable_model_summary"), _one_of(True, False)),
    **dict.fromkeys(("inference_mode", "detect_anomaly", "benchmark"), _one_of(True, False)),
    "deterministic": _one_of(True, False, "warn"),
    "profiler": _one_of("simple", "advanced", "pytorch"),
    "gradient_clip_algorithm": _one_of("norm", "value"),
    "max_time": Rule(
        lambda value: isinstance(value, (str, dict)), "a duration: days:hours:minutes:seconds, as 00:08:00:00"
    ),
    "fast_dev_run": Rule(lambda value: isinstance(value, int) and value >= 0, "true, false, or a number of windows"),
}
TAKEN = frozenset({*RULES, *FIXED, "accelerator", "devices", "strategy", "precision"})
"""All that the section may hold. With OWNED, all that Lightning's Trainer takes: a test asks each for its effect."""
NOT_TRIED = (
    *("accelerator", "devices", "strategy", "num_nodes", "precision"),  # the machine's: see `hardware.resolve`
    *("deterministic", "benchmark", "detect_anomaly"),  # set for the whole process
    *("profiler", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"),  # make objects
)
"""Keys that the throw-away trainer is not given."""

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
        elif value is not None:
            _check_value(key, value)
        elif key != "check_val_every_n_epoch" and (key == "log_every_n_steps" or _PARAMETERS[key].default is not None):
            raise UserError(
                f"trainer.{key}=null: must have a value; by default it is the one in conf/trainer/default.yaml"
            )
    if section.get("max_epochs") == 0 or section.get("max_steps") == 0:
        raise UserError("trainer.max_epochs and trainer.max_steps: must be 1 or more, or -1 for no limit")
    _try(section)
    limit = {"max_epochs": -1} if section.get("max_epochs") is None else {}  # else Lightning sets one of its own, 1000
    # 3.0 windows are 3 for Lightning, too, but for `overfit_batches`, which it takes as a share then
    return {
        key: int(value) if isinstance(value, float) and value > 1 and key != "gradient_clip_val" else value
        for key, value in section.items()
    } | limit


def why_no_validation(section: Mapping[str, Any]) -> str | None:
    """What in the section leaves training without a validation, as it is typed; None: there are some."""
    if section.get("limit_val_batches") == 0:
        return "trainer.limit_val_batches=0"
    every, epochs = section.get("check_val_every_n_epoch"), section.get("max_epochs")
    if isinstance(every, int) and isinstance(epochs, int) and 0 < epochs < every:
        return f"trainer.check_val_every_n_epoch={every} with trainer.max_epochs={epochs}"
    return None


def _check_fixed(key: str, value: Any) -> None:
    taken, why = FIXED[key]
    if value != taken or type(value) is not type(taken):
        shown = "null" if taken is None else _shown(taken)
        raise UserError(f"trainer.{key}={_shown(value)}: {why}\nleave trainer.{key}={shown}")


def _check_value(key: str, value: Any) -> None:
    typed = f"trainer.{key}={_shown(value)}"
    if key in RULES and not RULES[key].allows(value):
        raise UserError(f"{typed}: must be {RULES[key].allowed}")
    if key == "devices":
        read_devices(value)
    if key == "strategy" and value not in LIGHTNING_STRATEGIES:
        raise UserError(
            f"{typed}: several devices work together with device=ddp\nchoose one of: {', '.join(LIGHTNING_STRATEGIES)}"
        )


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
    """A value as a person types it."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return " ".join(text.split())[:_LONGEST_CAUSE]
