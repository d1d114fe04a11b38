"""Nested mappings as one: `{"model": {"hidden_size": 64}}` -> `{"model.hidden_size": 64}`."""

from collections.abc import Mapping
from typing import Any


def flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their dotted keys; an empty mapping has none."""
    found: dict[str, Any] = {}
    for key, value in nested.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
