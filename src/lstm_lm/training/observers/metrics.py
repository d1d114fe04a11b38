"""What a run records while it trains: losses, rate, throughput, gradient norm, and what the machine is doing.

Each value goes to the run's writer, and under the same name and step to Lightning's loggers and metrics, where other
people's loggers and callbacks find it. Not by `self.log`: that rounds to float32, counts steps from 0 and comes behind
the checkpoint of the step.
"""

import math
import statistics
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import psutil
import torch
from torch.optim import Optimizer

from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.runs.summary import LoggerSummary
from lstm_lm.training.build import Parts
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.observers.clock import StepClock

SPIKE = 1.5
"""A loss that is so many times the median of the logged ones before it is one."""
LOOKED_BACK = 20
FEWEST_BEFORE = 10


class Metrics(pl.Callback):
    """Records a row every `trainer.log_every_n_steps` optimizer steps, and one with each validation and test."""

    def __init__(self, config: TrainConfig, parts: Parts, writer: NoWriter, clock: StepClock) -> None:
        self._writer, self._clock = writer, clock
        self._every, self._system = config.trainer["log_every_n_steps"], config.callbacks.monitor.system
        self._steps_per_epoch, self._total_steps = parts.steps_per_epoch, parts.total_steps
        self._hyperparameters = config.hyperparameters()
        self._process = psutil.Process()
        self._logged_step = -1
        self._epoch_began = time.perf_counter()
        self._gpu_percents: list[float] = []
        self._missing: set[str] = set()
        self._recent: deque[float] = deque(maxlen=LOOKED_BACK)
        self.spikes: list[tuple[int, float, float]] = []
        """(step, median of the losses before it, loss) where the logged training loss jumped."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        psutil.cpu_percent(None)  # the first call starts its meter
        self._logged_step = trainer.global_step
        trainer.log_every_n_steps = self._every  # type: ignore[attr-defined]  # before, Lightning would warn of short epochs
        self._begin_loggers(trainer)

    def _begin_loggers(self, trainer: pl.Trainer) -> None:
        """Give them the hyperparameters, but for those that continue: some refuse others than before."""
        summary = self._writer.summary
        before, now = summary.loggers or [], []
        for logger in trainer.loggers:
            one = LoggerSummary(name=type(logger).__name__, version=str(logger.version))
            now.append(one)
            if one not in before:
                logger.log_hyperparams(self._hyperparameters)
        summary.loggers = now or None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._epoch_began = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log where it is time; reading a tensor waits for the device, so not more often.

        The last step as well, here: behind its checkpoint there may be nobody left to log it.
        """
        step = trainer.global_step
        if (step % self._every == 0 or step == self._total_steps) and step != self._logged_step:
            self._log_step(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log how long the epoch took, its validations included."""
        seconds = time.perf_counter() - self._epoch_began
        self._record(trainer, {"train/epoch_seconds": seconds})

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModelTask)
        if pl_module.train_loss is not None and trainer.global_step != self._logged_step:
            self._log_step(trainer, pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModelTask)
        if pl_module.scores is not None and not trainer.sanity_checking:
            self._record(trainer, pl_module.scores.named("val"))

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModelTask)
        if pl_module.scores is not None:
            self._record(trainer, pl_module.scores.named("test"))

    @property
    def idle_gpu_percent(self) -> float | None:
        """Mean GPU use where it was measured and under 50 %: worth a hint."""
        if not self._gpu_percents:
            return None
        mean = sum(self._gpu_percents) / len(self._gpu_percents)
        return mean if mean < 50 else None

    def _log_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModelTask)
        assert pl_module.train_loss is not None
        self._logged_step = trainer.global_step
        loss = float(pl_module.train_loss)
        self._note_spike(trainer.global_step, loss)
        values = {
            "epoch": trainer.global_step / self._steps_per_epoch,
            "train/loss": loss,
            "train/perplexity": math.exp(min(loss, 700.0)),
            "train/seconds": pl_module.state.seconds,
        }
        if pl_module.learning_rate is not None:
            values["train/learning_rate"] = pl_module.learning_rate
        if pl_module.gradient_norm is not None:
            values["train/gradient_norm"] = float(pl_module.gradient_norm)
        if pl_module.state.average.count:
            values["train/averaged_steps"] = float(pl_module.state.average.count)
        recent = self._clock.recent()
        if recent is not None:
            values["train/step_ms"], values["train/tokens_per_second"] = recent
        if self._system:
            values |= self._machine(pl_module.device)
        self._record(trainer, values)

    def _record(self, trainer: pl.Trainer, values: Mapping[str, float]) -> None:
        """To metrics.csv and TensorBoard; to other people's callbacks; to their loggers."""
        self._writer.row(trainer.global_step, values)
        tensors = {name: torch.tensor(float(value)) for name, value in values.items()}
        trainer.callback_metrics.update(tensors)
        trainer.logged_metrics.update(tensors)
        for logger in trainer.loggers:
            logger.log_metrics(dict(values), trainer.global_step)
            logger.save()

    def _note_spike(self, step: int, loss: float) -> None:
        if step % self._steps_per_epoch == 0:  # an epoch's last window may be of a few tokens
            return
        if len(self._recent) >= FEWEST_BEFORE and loss > SPIKE * statistics.median(self._recent):
            self.spikes.append((step, statistics.median(self._recent), loss))
        if math.isfinite(loss):
            self._recent.append(loss)

    def _machine(self, device: torch.device) -> dict[str, float]:
        values = {
            "usage/cpu_percent": psutil.cpu_percent(None),
            "usage/ram_bytes": float(self._process.memory_info().rss),
        }
        if device.type == "cuda":
            values["usage/gpu_memory_bytes"] = float(torch.cuda.memory_allocated(device))
            try:
                percent = float(torch.cuda.utilization(device))
            except Exception as error:  # NVML's and amdsmi's own are nothing more special; no figure is worth a run
                self._note_missing("usage/gpu_percent", error)
            else:
                values["usage/gpu_percent"] = percent
                self._gpu_percents.append(percent)
        return values

    def _note_missing(self, name: str, error: Exception) -> None:
        """Say why a figure is not there, once, where a person would look for it."""
        if name not in self._missing:
            self._missing.add(name)
            self._writer.text(name, f"cannot be had here: {type(error).__name__}: {error}", self._logged_step)


class Histograms(pl.Callback):
    """Records those of weights and gradients every `every_n_steps` optimizer steps, when gradients are unscaled."""

    def __init__(self, writer: NoWriter, *, every_n_steps: int) -> None:
        self._writer = writer
        self._every = every_n_steps

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Gradients as they are before clipping."""
        if trainer.global_step % self._every:
            return
        for name, parameter in pl_module.named_parameters():
            self._writer.histogram(f"weights/{name}", parameter.detach(), trainer.global_step)
            if parameter.grad is not None:
                self._writer.histogram(f"gradients/{name}", parameter.grad, trainer.global_step)
