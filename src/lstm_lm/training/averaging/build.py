"""From the configuration's `averaging` section to an average's rule."""

from collections.abc import Mapping
from typing import Any

from lstm_lm.registry import find
from lstm_lm.training.averaging.interface import Averaging


def build_averaging(section: Mapping[str, Any]) -> Averaging:
    """Check the `averaging` section and make the rule that it describes.

    Raises:
        UserError: no such average; a key is unknown or missing, or its value is out of range.
    """
    kind: type[Averaging] = find("lstm_lm.training.averaging", str(section.get("name")), "averaging").AVERAGING
    return kind(kind.OptionsType.parse(section, "averaging"))
