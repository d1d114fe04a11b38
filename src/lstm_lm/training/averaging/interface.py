"""When an average of the weights begins, and how much each step counts in it.

Every average here is a running one: the n-th weights w_n that it takes in move it by a part of the way,

    average += weight(n) * (w_n - average),   weight(1) = 1
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from lstm_lm.options import Options


class Averaging(Options, ABC):
    """A rule for an average; its fields are the keys of the `averaging` section.

    Its module holds the class as the constant `AVERAGING`. What it goes by is kept by `WeightAverage`.
    """

    name: str

    wanted: ClassVar[bool] = True
    """Whether there is to be an average at all."""
    needs_validation: ClassVar[bool] = False
    """Whether it never begins without validations."""

    @abstractmethod
    def begins(self, step: int, losses: Sequence[float]) -> bool:
        """Whether averaging begins, if it has not before: from then on the weights after each optimizer step count.

        Args:
            step: of the optimizer, from 1 on, whose weights would be the first to count.
            losses: that validations have found up to now, all finite, nats per token.
        """

    @abstractmethod
    def weight(self, count: int) -> float:
        """How far the `count`-th weights (from 1 on) that count move the average towards them; over 0, at most 1."""
