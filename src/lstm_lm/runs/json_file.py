"""Reading JSON that somebody else may have written: bounded in size, depth and digits, and every number finite."""

import json
import math
from pathlib import Path
from typing import Any

from lstm_lm.runs import regular_file

DEEPEST = 64
"""Sections within sections; what this project writes has five."""
_MOST_DIGITS = 18
"""Of a whole number: what fits into 64 bits."""


def read_json(path: Path) -> Any:
    """The document in `path`. A number that is not finite is None, a whole one beyond 64 bits a float.

    Raises:
        OSError: the file is missing, cannot be read, is no regular file, or too large.
        ValueError: it is not JSON, or nested deeper than DEEPEST.
    """
    data = regular_file.read_regular(path)
    try:
        document = json.loads(data, parse_int=_whole, parse_float=_finite, parse_constant=lambda _: None)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [document]
    for _ in range(DEEPEST):
        if not (level := [part for node in level for part in _parts(node)]):
            return document
    raise ValueError("nested too deeply")


def _parts(node: Any) -> list[Any]:
    parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [part for part in parts if isinstance(part, (dict, list))]


def _whole(digits: str) -> float | None:
    return int(digits) if len(digits.lstrip("-")) <= _MOST_DIGITS else _finite(digits)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None
