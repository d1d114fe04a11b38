"""The configuration's `trainer` section: Lightning's own keys, checked before Lightning sees them."""

import difflib
import inspect
import math
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl

from lstm_lm.errors import UserError

OWNED = {
    "logger": "use the group `logger`",
    "callbacks": "use the group `callbacks`",
    "plugins": "the project sets its own",
    "default_root_dir": "use hydra.run.dir",
}
"""Trainer arguments that are objects, or that the run directory decides."""

AT_LEAST = {
    "max_epochs": -1,
    "min_epochs": 0,
    "max_steps": -1,
    "min_steps": 0,
    "accumulate_grad_batches": 1,
    "log_every_n_steps": 1,
    "check_val_every_n_epoch": 1,
    "num_nodes": 1,
    "num_sanity_val_steps": -1,
    "gradient_clip_val": 0,
}


def check_trainer(section: Mapping[str, Any]) -> dict[str, Any]:
    """The section as it goes to `lightning.pytorch.Trainer`.

    Raises:
        UserError: a key that Lightning doesn't know or that another group sets, or a number out of range.
    """
    known = sorted(set(inspect.signature(pl.Trainer.__init__).parameters) - {"self"} - set(OWNED))
    for key, value in section.items():
        if key in OWNED:
            raise UserError(f"trainer.{key}: {OWNED[key]}")
        if key not in known:
            near = difflib.get_close_matches(key, known, n=3)
            hint = f"\ndid you mean: {', '.join(near)}" if near else ""
            raise UserError(f"trainer.{key}: Lightning's Trainer has no such argument{hint}")
        if isinstance(value, float) and not math.isfinite(value):
            raise UserError(f"trainer.{key}={value}: must be a finite number")
        _check_range(key, value)
    if section.get("max_epochs") == 0 or section.get("max_steps") == 0:
        raise UserError("trainer.max_epochs and trainer.max_steps: must be 1 or more, or -1 for no limit")
    return dict(section)


def _check_range(key: str, value: Any) -> None:
    if key not in AT_LEAST or value is None:
        return
    least = AT_LEAST[key]
    fractional = key == "gradient_clip_val"
    if isinstance(value, bool) or not isinstance(value, (int, float) if fractional else int) or value < least:
        kind = "a number" if fractional else "an integer"
        raise UserError(f"trainer.{key}={value!r}: must be {kind}, {least} or more")
