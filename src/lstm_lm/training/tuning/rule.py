"""The rule of `budget=`: which loss to expect of a model of some size after some passes over some text.

    loss = of the text + capacity / P^capacity_power
                       + data / D^data_power
                       + overfit (e P / N)^overfit_power (1 - d)^overfit_thinning

P: parameters, d: dropout, e: passes over the N tokens of the text, D: how many distinct tokens e (1 - d)^slowing passes
are worth, for with dropout each teaches less. The first two terms are those of Hoffmann and others, 2022 ("Training
Compute-Optimal Large Language Models"); D is that of Muennighoff and others, 2023 ("Scaling Data-Constrained Language
Models"). The third is what a text that is seen too often by too many parameters costs, and what dropout is there for.
What the text itself has of entropy is the same for all sizes, and left out. Nothing here knows torch, a machine or a
configuration.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Constants:
    """Fitted by `benchmarks/budget_fit.py` to committed runs; nats per token, where nothing else is said."""

    capacity: float = 2.110
    """What few parameters cost: that of a single one, in the units of `capacity_power`."""
    capacity_power: float = 0.07263
    """How fast it falls with parameters."""
    data: float = 5942.0
    """What few tokens cost: that of a single one."""
    data_power: float = 0.7368
    """How fast it falls with tokens."""
    repeats: float = 2.178
    """Passes after which another is worth 1/e of a new text (Muennighoff and others, of far larger models: 15.4)."""
    slowing: float = 3.013
    """Powers of (1 - dropout) that passes teach less by."""
    overfit: float = 0.0006126
    """What as many parameters as the text has tokens cost, with each pass."""
    overfit_power: float = 1.0
    """How fast it rises with passes and parameters; 1 or more, so that there is one best number of passes."""
    overfit_thinning: float = 6.578
    """Powers of (1 - dropout) that it falls by."""


CONSTANTS = Constants()
LEARNING_RATES = {"muon": 2e-2, "adamw": 1e-2}
"""Peak rates, by optimizer; others keep their own."""
DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.4)
"""To choose from: what the runs that the rule is fitted to have."""
FEWEST_PASSES = 1e-3
"""Of the text: fewer are not told apart."""
PRECISION = 1e-4
"""To which the best number of passes is found, as a share of it."""


class Settings(NamedTuple):
    """How a model of a given size is trained best, and how well."""

    dropout: float
    passes: float
    """Over the text."""
    loss: float
    """As predicted, nats per token; without the part that is of the text alone."""


def effective_tokens(tokens: float, passes: float, constants: Constants = CONSTANTS) -> float:
    """How many tokens of a new text `passes` over one of `tokens` are worth."""
    if passes <= 1:
        return tokens * passes
    repeats = constants.repeats
    return tokens + tokens * repeats * (1 - math.exp(-(passes - 1) / repeats))


def predicted_loss(
    parameters: int, tokens: int, passes: float, dropout: float, constants: Constants = CONSTANTS
) -> float:
    """Validation loss, nats per token, up to what is the same for all models of a text."""
    it, kept = constants, 1 - dropout
    capacity: float = it.capacity / parameters**it.capacity_power
    data: float = it.data / effective_tokens(tokens, passes * kept**it.slowing, it) ** it.data_power
    overfit: float = it.overfit * (passes * parameters / tokens) ** it.overfit_power * kept**it.overfit_thinning
    return capacity + data + overfit


def best_settings(
    parameters: int,
    tokens: int,
    most_passes: float,
    dropouts: Iterable[float] = DROPOUTS,
    constants: Constants = CONSTANTS,
) -> Settings:
    """The dropout and the number of passes, `most_passes` at most, with the least predicted loss."""
    found = []
    for dropout in dropouts:
        passes = _best_passes(parameters, tokens, max(most_passes, FEWEST_PASSES), dropout, constants)
        found.append(Settings(dropout, passes, predicted_loss(parameters, tokens, passes, dropout, constants)))
    return min(found, key=lambda each: each.loss)


def learning_rate(optimizer: str) -> float | None:
    """The peak rate; None: the optimizer keeps the one that it has."""
    return LEARNING_RATES.get(optimizer)


def _best_passes(parameters: int, tokens: int, most: float, dropout: float, constants: Constants) -> float:
    """Where the loss is least. It is convex in the number of passes: thirds are cut off until little is left."""

    def loss(passes: float) -> float:
        return predicted_loss(parameters, tokens, passes, dropout, constants)

    low, high = FEWEST_PASSES, most
    while high - low > PRECISION * high:
        third = (high - low) / 3
        if loss(low + third) > loss(high - third):
            low += third
        else:
            high -= third
    return most if loss(most) <= loss(high) else high
