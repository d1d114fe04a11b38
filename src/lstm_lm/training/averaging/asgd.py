"""`averaging=asgd`: averaged stochastic gradient descent, begun when validation stops getting better.

Source: Merity, Keskar and Socher, "Regularizing and Optimizing LSTM Language Models", 2017, algorithm 1 (NT-ASGD).
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from lstm_lm.training.averaging.interface import Averaging


class ASGD(Averaging):
    """The plain mean of all weights since a validation was worse than the best of all but the last few before it."""

    needs_validation: ClassVar[bool] = True
    non_monotone: Annotated[int, Field(ge=0)]

    def begins(self, step: int, losses: Sequence[float]) -> bool:  # noqa: ARG002
        older = losses[: max(0, len(losses) - 1 - self.non_monotone)]
        return bool(older) and losses[-1] > min(older)

    def weight(self, count: int) -> float:
        return 1 / count


AVERAGING = ASGD
