"""`scheduler=cosine`: a warm-up of a fixed length, then down along a cosine."""

from lstm_lm.training.schedulers.interface import Factor, Scheduler, Steps, cosine


class Cosine(Scheduler):
    """Linear to 1 in `warmup_steps`, then along a cosine to `end`."""

    warmup_steps: Steps
    end: Factor

    def factor(self, step: int, total_steps: int) -> float:
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        return cosine(1.0, self.end, (step - self.warmup_steps) / max(1, total_steps - 1 - self.warmup_steps))


SCHEDULER = Cosine
