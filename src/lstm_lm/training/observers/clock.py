"""How long a training step takes, from one step's start to the next's."""

import time
from array import array
from collections import deque
from statistics import fmean, median
from typing import Any, Self

import lightning.pytorch as pl
import torch

from lstm_lm.data.streams import Batch

WARM_UP_STEPS = 10
"""Steps left out of the medians: caches fill, kernels are chosen, graphs compile."""


class Moment:
    """Now, on the host; on a GPU, when it has done all that it was asked for until now. Never waits to be made."""

    def __init__(self, device: torch.device) -> None:
        self._host = time.perf_counter()
        self._event: torch.cuda.Event | None = None
        if device.type == "cuda":
            self._event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            self._event.record(torch.cuda.current_stream(device))

    def is_past(self) -> bool:
        """Whether the device has come this far."""
        return self._event is None or bool(self._event.query())  # type: ignore[no-untyped-call]

    def wait(self) -> None:
        """Until the device has come this far."""
        if self._event is not None:
            self._event.synchronize()

    def seconds_since(self, earlier: Self) -> float:
        """Between two moments of one device, both past; waiting for work counts."""
        if self._event is None or earlier._event is None:
            return self._host - earlier._host
        return float(earlier._event.elapsed_time(self._event)) / 1e3


class StepClock(pl.Callback):
    """Times whole optimizer steps, loading and logging included; intervals with a pause in them do not count."""

    def __init__(self) -> None:
        self.steps = 0
        """Optimizer steps begun in this process."""
        self.first_step_at: float | None = None
        """`time.time()` when the first step began."""
        self._seconds = array("d")
        self._rates = array("d")
        self._open: deque[tuple[Moment, Moment, int]] = deque()  # steps that a GPU may not have ended yet
        self._began: Moment | None = None
        self._tokens = 0
        self._paused = False
        self._reported = 0

    @property
    def step_ms(self) -> float | None:
        """Median milliseconds of an optimizer step; None before there is one that counts."""
        self._collect_finished(wait=True)
        return median(self._seconds) * 1e3 if self._seconds else None

    @property
    def mean_ms(self) -> float | None:
        """Mean milliseconds of an optimizer step: steps that log weigh what they cost."""
        self._collect_finished(wait=True)
        return fmean(self._seconds) * 1e3 if self._seconds else None

    @property
    def tokens_per_second(self) -> float | None:
        """Median rate; None before there is a step that counts."""
        self._collect_finished(wait=True)
        return median(self._rates) if self._rates else None

    def pause(self) -> None:
        """Leave the step that is being taken out: something else than training happens in it."""
        self._paused = True

    def recent(self) -> tuple[float, float] | None:
        """(milliseconds per step, tokens per second) since the last call, pauses left out; None: no such step."""
        self._collect_finished(wait=True)
        since, self._reported = self._reported, len(self._seconds)
        if since == self._reported:
            return None
        return median(self._seconds[since:]) * 1e3, median(self._rates[since:])

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A window begins; with gradient accumulation not every window begins a step."""
        if batch_idx % trainer.accumulate_grad_batches == 0:
            now = Moment(pl_module.device)
            if self._began is not None and not self._paused and self.steps > WARM_UP_STEPS:
                self._open.append((self._began, now, self._tokens))
                self._collect_finished(wait=False)
            self._began = now
            self._tokens = 0
            self._paused = False
            self.steps += 1
            if self.first_step_at is None:
                self.first_step_at = time.time()
        if isinstance(batch, Batch):
            self._tokens += batch.tokens_of_all(trainer.world_size)

    def _collect_finished(self, *, wait: bool) -> None:
        """Take the times of steps that have ended."""
        while self._open:
            began, ended, tokens = self._open[0]
            if wait:
                ended.wait()
            if not ended.is_past():
                return
            self._open.popleft()
            seconds = ended.seconds_since(began)
            self._seconds.append(seconds)
            self._rates.append(tokens / seconds)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.pause()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.pause()
