"""No average: the weights of the last step are those that are used."""

from typing import ClassVar

from lstm_lm.options import Options
from lstm_lm.training.averaging.interface import Averaging


class NoAveragingOptions(Options):
    """`averaging=none`."""

    name: str


class NoAveraging(Averaging):
    """Never begins."""

    OptionsType: ClassVar[type[Options]] = NoAveragingOptions
    wanted = False

    def begins(self, step: int) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def share(self, count: int) -> float:  # noqa: ARG002
        """Of an average of one."""
        return 1.0


AVERAGING = NoAveraging
