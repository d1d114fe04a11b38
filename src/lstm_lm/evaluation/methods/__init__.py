"""Ways to evaluate a model. One module is one option of the group `method=`."""

from collections.abc import Mapping
from typing import Any

from lstm_lm import registry
from lstm_lm.evaluation.methods.interface import Method


def method_of(section: Mapping[str, Any]) -> Method:
    """The method that a `method` section names, with its options checked.

    Raises:
        UserError: there is no such method; a key is unknown or missing, or its value is out of range.
    """
    kind: type[Method] = registry.find(__name__, str(section.get("name")), "method.name").METHOD
    return kind(kind.OptionsType.parse(section, "method"))
