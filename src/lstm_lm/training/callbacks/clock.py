"""How long a training step takes, from one step's start to the next's."""

import time
from array import array
from statistics import fmean, median
from typing import Any

import lightning.pytorch as pl

from lstm_lm.data.streams import Batch

WARM_UP_STEPS = 10
"""Steps left out of the medians: caches fill, kernels are chosen, graphs compile."""


class StepClock(pl.Callback):
    """Times whole optimizer steps, loading and logging included; intervals with a pause in them do not count."""

    def __init__(self) -> None:
        self.steps = 0
        """Optimizer steps begun in this process."""
        self.first_step_at: float | None = None
        """`time.time()` when the first step began."""
        self._seconds = array("d")
        self._rates = array("d")
        self._began: float | None = None
        self._tokens = 0
        self._paused = False
        self._reported = 0

    @property
    def step_ms(self) -> float | None:
        """Median milliseconds of an optimizer step; None before there is one that counts."""
        return median(self._seconds) * 1e3 if self._seconds else None

    @property
    def mean_ms(self) -> float | None:
        """Mean milliseconds of an optimizer step: steps that log weigh what they cost."""
        return fmean(self._seconds) * 1e3 if self._seconds else None

    @property
    def tokens_per_second(self) -> float | None:
        """Median rate; None before there is a step that counts."""
        return median(self._rates) if self._rates else None

    def pause(self) -> None:
        """Leave the step that is being taken out: something else than training happens in it."""
        self._paused = True

    def recent(self) -> tuple[float, float] | None:
        """(milliseconds per step, tokens per second) since the last call, pauses left out; None: no such step."""
        since, self._reported = self._reported, len(self._seconds)
        if since == self._reported:
            return None
        return median(self._seconds[since:]) * 1e3, median(self._rates[since:])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A window begins; with gradient accumulation not every window begins a step."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            now = time.perf_counter()
            if self._began is not None and not self._paused and self.steps > WARM_UP_STEPS:
                seconds = now - self._began
                self._seconds.append(seconds)
                self._rates.append(self._tokens / seconds)
            self._began = now
            self._tokens = 0
            self._paused = False
            self.steps += 1
            if self.first_step_at is None:
                self.first_step_at = time.time()
        if isinstance(batch, Batch):
            self._tokens += batch.inputs.numel() * trainer.world_size

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation is not training."""
        self.pause()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Nor is what happens between epochs."""
        self.pause()
