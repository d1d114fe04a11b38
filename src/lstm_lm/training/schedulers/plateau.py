"""`scheduler=plateau`: the learning rate is reduced whenever validation has stopped getting better.

What torch.optim.lr_scheduler.ReduceLROnPlateau does with threshold_mode="abs" and a patience less by 1.
"""

from typing import Annotated, ClassVar

from pydantic import Field

from lstm_lm.training.schedulers.interface import Decay, Factor, Progress, Scheduler, Steps, warm_up


class Plateau(Scheduler):
    """Linear to 1 in `warmup_steps`; times `gamma`, down to `end`, after `patience` validations that are no better."""

    needs_total_steps: ClassVar[bool] = False
    needs_validation: ClassVar[bool] = True
    warmup_steps: Steps
    patience: Annotated[int, Field(ge=1)]
    min_delta: Annotated[float, Field(ge=0)]
    gamma: Decay
    end: Factor

    def factor(self, step: int, total_steps: int) -> float:  # noqa: ARG002
        return warm_up(step, self.warmup_steps)

    def reduction(self, progress: Progress) -> float:
        return max(self.end, float(self.gamma**progress.reductions))

    def after_validation(self, progress: Progress, loss: float) -> Progress:
        if progress.best is None or loss < progress.best - self.min_delta:
            return progress._replace(best=loss, waited=0)
        if progress.waited + 1 < self.patience:
            return progress._replace(waited=progress.waited + 1)
        return progress._replace(waited=0, reductions=progress.reductions + 1)


SCHEDULER = Plateau
