"""The one place that chooses a strategy."""

from typing import NamedTuple

import torch

from lstm_lm.errors import UserError
from lstm_lm.forward.interface import StackSpec, Strategy
from lstm_lm.registry import find, names

PREFERENCE = ("fused", "stepwise")
"""Order in which `auto` tries them: the vendor's kernel wins wherever it can run the cell."""


class Choice(NamedTuple):
    """A strategy, and why it was taken, for people to read."""

    strategy: Strategy
    reason: str


def choose(name: str, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> Choice:
    """The strategy called `name`, or with `auto` the fastest of those that can run `spec` there.

    Raises:
        UserError: no such strategy, or it cannot run this stack there (with its reason).
    """
    if name != "auto":
        strategy: Strategy = find("lstm_lm.forward", name, "forward").STRATEGY()
        reason = strategy.supports(spec, device, dtype)
        if reason is not None:
            raise UserError(
                f"forward={name}: {reason}\nuse forward=auto, or one of: {', '.join(_able(spec, device, dtype))}"
            )
        return Choice(strategy, "asked for")
    passed_over: list[str] = []
    for candidate in PREFERENCE:
        strategy = find("lstm_lm.forward", candidate, "forward").STRATEGY()
        reason = strategy.supports(spec, device, dtype)
        if reason is None:
            why = "; ".join(passed_over) or "the vendor's own kernel has this cell"
            return Choice(strategy, why)
        passed_over.append(f"not {candidate}: {reason}")
    raise AssertionError("stepwise runs every cell")


def _able(spec: StackSpec, device: torch.device, dtype: torch.dtype) -> list[str]:
    return [
        name
        for name in names("lstm_lm.forward")
        if find("lstm_lm.forward", name, "forward").STRATEGY().supports(spec, device, dtype) is None
    ]
