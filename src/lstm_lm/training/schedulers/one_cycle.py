"""`scheduler=one_cycle`: up to the peak, then down (Smith and Topin, 2018)."""

from typing import Annotated

from pydantic import Field

from lstm_lm.training.schedulers.interface import Factor, Scheduler, cosine


class OneCycle(Scheduler):
    """Along a cosine from `start` to 1, then along a cosine to `end`."""

    warmup: Annotated[float, Field(ge=0, lt=1)]
    start: Annotated[float, Field(gt=0, le=1)]
    end: Factor

    def factor(self, step: int, total_steps: int) -> float:
        last = max(1, total_steps - 1)
        peak = self.warmup * last
        if step < peak:
            return cosine(self.start, 1.0, step / peak)
        return cosine(1.0, self.end, (step - peak) / max(1.0, last - peak))


SCHEDULER = OneCycle
