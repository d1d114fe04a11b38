"""`averaging=ema`: an exponential moving average; Polyak and Juditsky's idea (1992) with a bounded memory.

With decay d, the n-th weights move it by (1 - d) / (1 - d^n). That is the moving average from zero,

    m = d * m + (1 - d) * w,   divided by 1 - d^n,

with the bias correction of Kingma and Ba ("Adam", 2015, section 3), written so that no m is kept: early on it is the
plain mean of the weights so far, later their moving average over about 1 / (1 - d) steps.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from lstm_lm.training.averaging.interface import Averaging


class EMA(Averaging):
    """An average over about the last 1 / (1 - decay) steps."""

    decay: Annotated[float, Field(ge=0, lt=1)]
    start_step: Annotated[int, Field(ge=0)]

    def begins(self, step: int, losses: Sequence[float]) -> bool:  # noqa: ARG002
        return step > self.start_step

    def weight(self, count: int) -> float:
        return (1 - self.decay) / (1 - self.decay**count)


AVERAGING = EMA
