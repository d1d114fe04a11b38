"""What a model can be taken elsewhere as. One module is one option of the group `format=`."""

from collections.abc import Mapping
from typing import Any

from lstm_lm import registry
from lstm_lm.exporting.formats.interface import Format


def format_of(section: Mapping[str, Any]) -> Format:
    """The format that a `format` section names, with its options checked.

    Raises:
        UserError: there is no such format; a key is unknown or missing, or its value is out of range.
    """
    kind: type[Format] = registry.find(__name__, str(section.get("name")), "format.name").FORMAT
    return kind.parse(section, "format")
