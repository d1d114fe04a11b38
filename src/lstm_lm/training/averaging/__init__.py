"""Averages of the weights over the steps of training. One module is one option of the group `averaging=`."""

from collections.abc import Mapping
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.registry import find
from lstm_lm.training.averaging.interface import Averaging
from lstm_lm.training.trainer_options import why_no_validation


def build_averaging(section: Mapping[str, Any], trainer: Mapping[str, Any]) -> Averaging:
    """Check the `averaging` section, by itself and against the `trainer` section.

    Raises:
        UserError: no such average; a key is unknown or missing, or its value is out of range; it would never begin.
    """
    kind: type[Averaging] = find(__name__, str(section.get("name")), "averaging").AVERAGING
    if kind.needs_validation and (why := why_no_validation(trainer)):
        raise UserError(f"averaging={section['name']} begins by what validations find, and {why} leaves none")
    return kind.parse(section, "averaging")
