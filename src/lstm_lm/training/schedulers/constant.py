"""`scheduler=constant`: the learning rate as it is, after a warm-up."""

from typing import ClassVar

from lstm_lm.training.schedulers.interface import Scheduler, Steps, warm_up


class Constant(Scheduler):
    """Linear to 1 in `warmup_steps`, then 1."""

    needs_total_steps: ClassVar[bool] = False
    warmup_steps: Steps

    def factor(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return warm_up(step, self.warmup_steps)


SCHEDULER = Constant
