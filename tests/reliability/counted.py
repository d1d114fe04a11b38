"""Property tests that count: how many inputs were tried, and what became of each."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

Handled = Callable[..., str]
"""Tries one input; says what became of it ("taken", "refused", ...), and fails where that is wrong."""


def counted(handled: Handled, examples: int, **inputs: st.SearchStrategy[Any]) -> Counter[str]:
    """How often `handled` said what, for `examples` inputs; the same ones in every process that asks for as many."""
    counts: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(**inputs)
    def every(**drawn: Any) -> None:
        counts[handled(**drawn)] += 1

    every()
    return counts


def refused_well(error: Exception, lines: int = 4) -> None:
    """Its text is for people: a few lines, none of them endless.

    Raises:
        AssertionError: it isn't.
    """
    message = str(error)
    assert 1 <= len(message.splitlines()) <= lines, message
    assert len(message) < 5000, message
    message.encode("utf-8")  # it can be printed
