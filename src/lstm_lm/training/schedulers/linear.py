"""`scheduler=linear`: a warm-up of a fixed length, then down along a line."""

from lstm_lm.training.schedulers.interface import Factor, Scheduler, Steps, after, warm_up


class Linear(Scheduler):
    """Linear to 1 in `warmup_steps`, then linear to `end`."""

    warmup_steps: Steps
    end: Factor

    def factor(self, step: int, total_steps: int) -> float:
        if step < self.warmup_steps:
            return warm_up(step, self.warmup_steps)
        return 1.0 + (self.end - 1.0) * min(1.0, after(step, self.warmup_steps, total_steps))


SCHEDULER = Linear
