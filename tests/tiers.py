"""The two tiers: `pytest` proves every promise at its smallest size, `pytest -m matrix` the rest of each grid."""

from collections.abc import Iterable
from typing import Any

import pytest


def smallest(cases: Iterable[Any], *these: Any) -> list[Any]:
    """All `cases` of a `parametrize`, those other than `these` for the matrix."""
    every = list(cases)
    if missing := [case for case in these if case not in every]:
        raise ValueError(f"not among the cases: {missing}")
    return [case if case in these else pytest.param(case, marks=pytest.mark.matrix) for case in every]


def first(cases: Iterable[Any]) -> list[Any]:
    """All `cases` of a `parametrize`, those after the first for the matrix."""
    every = list(cases)
    return smallest(every, every[0])
