"""`scheduler=cosine`: a warm-up of a fixed length, then down along a cosine."""

from lstm_lm.training.schedulers.interface import Factor, Scheduler, Steps, after, cosine, warm_up


class Cosine(Scheduler):
    """Linear to 1 in `warmup_steps`, then along a cosine to `end`."""

    warmup_steps: Steps
    end: Factor

    def factor(self, step: int, total_steps: int) -> float:
        if step < self.warmup_steps:
            return warm_up(step, self.warmup_steps)
        return cosine(1.0, self.end, after(step, self.warmup_steps, total_steps))


SCHEDULER = Cosine
