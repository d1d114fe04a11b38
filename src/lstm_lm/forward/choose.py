"""The one place that chooses a strategy."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from lstm_lm.errors import Unavailable, UserError
from lstm_lm.forward.interface import ForwardOptions, StackSpec, Strategy, Workload
from lstm_lm.registry import all_names, find, names

AUTO = "auto"
DIRECT = "direct"
"""What stands for a strategy's name where a model has no recurrent layers."""
PACKAGE = "lstm_lm.forward.strategies"
WORTH_SAYING = 1.05
"""By how much the next best must be estimated to be slower before a number says so."""


class SelectedStrategy(NamedTuple):
    """A strategy, and why it was taken, for people to read."""

    strategy: Strategy
    reason: str

    @property
    def name(self) -> str:
        """The strategy's option of `forward=`."""
        return self.strategy.name


class NoStrategy(NamedTuple):
    """The one way to run a model without recurrent layers: no strategy has anything to execute there."""

    reason: str = "no recurrent layers"

    @property
    def name(self) -> str:
        """What a summary gives as the strategy."""
        return DIRECT


ForwardPath = SelectedStrategy | NoStrategy
"""How a model's forward pass runs; both have a name and a reason."""


def check_forward(section: Mapping[str, Any]) -> None:
    """Check the `forward` section without looking at a model.

    Raises:
        UserError: no such strategy; a key is unknown or missing, or its value is out of range.
    """
    name = str(section.get("name"))
    if name == AUTO:
        ForwardOptions.parse(section, "forward")
        return
    if name not in names(PACKAGE) and name not in (known := all_names(PACKAGE)):
        raise UserError(f"forward={name}: no such strategy\nchoose one of: {', '.join([AUTO, *known])}")
    _make(section)


def choose(
    forward: str | Mapping[str, Any], spec: StackSpec, device: torch.device, workload: Workload
) -> SelectedStrategy:
    """The strategy that `forward` asks for, or with `auto` the fastest of those that can run `spec` there.

    Args:
        forward: the `forward` section, or a strategy's name: all else as it decides by itself.
        spec: the stack.
        device: where the model is.
        workload: what it will be asked to do.

    Raises:
        UserError: no such strategy, or it cannot run this stack there (with its reason).
    """
    section = {"name": forward} if isinstance(forward, str) else forward
    name = str(section["name"])
    if name == AUTO:
        return _fastest(spec, device, workload)
    strategy = _make(section)
    reason = strategy.supports(spec, device, workload.dtype)
    if reason is not None:
        able = [other for other, refusal in _refusals(spec, device, workload.dtype).items() if refusal is None]
        raise Unavailable(f"forward={name}: {reason}\nuse forward=auto, or one of: {', '.join(able)}")
    details = strategy.details(spec, device, workload)
    return SelectedStrategy(strategy, f"asked for: {details}" if details else "asked for")


def _fastest(spec: StackSpec, device: torch.device, workload: Workload) -> SelectedStrategy:
    """By each strategy's own estimate."""
    refusals = _refusals(spec, device, workload.dtype)
    able = {name: _strategy_class(name)() for name, refusal in refusals.items() if refusal is None}
    costs = {name: strategy.cost(spec, device, workload) for name, strategy in able.items()}
    first, *others = sorted(costs, key=lambda name: costs[name])
    details = able[first].details(spec, device, workload)
    parts = [details] if details else []
    if others:
        ratio = costs[others[0]] / costs[first]
        by_much = WORTH_SAYING <= ratio < 10
        lead = f"{ratio:.1f} times as fast as {others[0]}" if by_much else f"faster than {_listed(others)}"
        parts.append(f"estimated {lead}")
    because: dict[str, list[str]] = {}
    for name, refusal in refusals.items():
        if refusal is not None:
            because.setdefault(refusal, []).append(name)
    parts += [f"not {_listed(passed_over, 'or')}: {refusal}" for refusal, passed_over in because.items()]
    return SelectedStrategy(able[first], "; ".join(parts))


def _listed(names: Sequence[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, end = names
    return f"{', '.join(most)} {last} {end}" if most else end


def _refusals(spec: StackSpec, device: torch.device, dtype: torch.dtype) -> dict[str, str | None]:
    """Every strategy of this project, with the reason why it cannot run `spec` there, or None where it can."""
    return {name: _strategy_class(name)().supports(spec, device, dtype) for name in names(PACKAGE)}


def _make(section: Mapping[str, Any]) -> Strategy:
    """The strategy of the section; one that holds nothing but the name decides everything else by its own rules."""
    kind = _strategy_class(str(section["name"]))
    return kind() if section.keys() == {"name"} else kind.from_options(section)


def _strategy_class(name: str) -> type[Strategy]:
    kind: type[Strategy] = find(PACKAGE, name, "forward").STRATEGY
    return kind
