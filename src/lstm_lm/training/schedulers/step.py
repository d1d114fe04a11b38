"""`scheduler=step`: the learning rate is reduced again and again, after as many optimizer steps each time."""

from typing import Annotated, ClassVar

from pydantic import Field

from lstm_lm.training.schedulers.interface import Decay, Scheduler, Steps, warm_up


class Step(Scheduler):
    """Linear to 1 in `warmup_steps`, then times `gamma` every `step_size` steps, counted from the first one on.

    Behind the warm-up as torch.optim.lr_scheduler.StepLR, whose names the keys are.
    """

    needs_total_steps: ClassVar[bool] = False
    warmup_steps: Steps
    step_size: Annotated[int, Field(ge=1)]
    gamma: Decay

    def factor(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return float(warm_up(step, self.warmup_steps) * self.gamma ** (step // self.step_size))


SCHEDULER = Step
