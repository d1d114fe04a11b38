"""A nested mapping as one of dotted keys: `{"model": {"hidden_size": 64}}` -> `{"model.hidden_size": 64}`."""

from collections.abc import Mapping
from typing import Any


def flat_keys(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value that is no mapping, under its dotted key, in order; an empty mapping is a value itself.

    `prefix` is put before each key, with its dot: `flat_keys(section, "trainer.")`.
    """
    found: dict[str, Any] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping) and value:
            found |= flat_keys(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def at(node: object, key: str) -> Any:
    """The value at a dotted key of a nested mapping; None where there is none."""
    for part in key.split("."):
        if not isinstance(node, Mapping) or part not in node:
            return None
        node = node[part]
    return node
