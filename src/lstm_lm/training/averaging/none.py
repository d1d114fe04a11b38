"""`averaging=none`: the weights of the last step are those that are used."""

from collections.abc import Sequence
from typing import ClassVar

from lstm_lm.training.averaging.interface import Averaging


class NoAveraging(Averaging):
    """Never begins."""

    wanted: ClassVar[bool] = False

    def begins(self, step: int, losses: Sequence[float]) -> bool:  # noqa: ARG002
        return False

    def weight(self, count: int) -> float:  # noqa: ARG002
        return 1.0


AVERAGING = NoAveraging
