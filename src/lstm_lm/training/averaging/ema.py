"""An exponential moving average of the weights: Polyak and Juditsky's idea (1992) with a bounded memory.

With decay d, the n-th weights move it by (1 - d) / (1 - d^n). That is the moving average from zero,

    m = d * m + (1 - d) * w,   divided by 1 - d^n,

with the bias correction of Kingma and Ba ("Adam", 2015, section 3), written so that no m is kept: early on it is the
plain mean of the weights so far, later their moving average over about 1 / (1 - d) steps.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from lstm_lm.options import Options
from lstm_lm.training.averaging.interface import Averaging


class EMAOptions(Options):
    """`averaging=ema`."""

    name: str
    decay: Annotated[float, Field(ge=0, lt=1)]
    start_step: Annotated[int, Field(ge=0)]


class EMA(Averaging):
    """An average over about the last 1 / (1 - decay) steps."""

    OptionsType: ClassVar[type[Options]] = EMAOptions

    def begins(self, step: int) -> bool:
        """As in `Averaging.begins`."""
        return step > int(self.options.start_step)

    def share(self, count: int) -> float:
        """As in `Averaging.share`."""
        decay: float = self.options.decay
        return (1 - decay) / (1 - decay**count)


AVERAGING = EMA
