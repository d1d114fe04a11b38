"""A live bar where there is a terminal, and one line with each validation everywhere."""

import time
from typing import Any

import lightning.pytorch as pl
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from lstm_lm.terminal import moving
from lstm_lm.training.build import Parts
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.observers.clock import StepClock
from lstm_lm.training.observers.excerpt import Excerpt


class ProgressLine(pl.Callback):
    """Redrawn a few times a second at most: reading the loss waits for the device."""

    def __init__(self, config: TrainConfig, parts: Parts, clock: StepClock, console: Console) -> None:
        self._console, self._moving, self._clock = console, moving(console), clock
        self._total, self._refresh = parts.total_steps, config.callbacks.progress.refresh_seconds
        self._live = config.trainer.get("enable_progress_bar") is not False and self._can_replace()
        self._drawn_at = 0.0
        self._began = (0.0, 0)
        self._tokens = 0
        self._bar: Progress | None = None
        self._task = TaskID(0)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._began = (time.monotonic(), 0)
        if not self._live:
            return
        self._bar = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("loss {task.fields[loss]}  {task.fields[rate]} tokens/s"),
            TimeRemainingColumn(),
            console=self._moving,
            auto_refresh=False,
            transient=True,
            redirect_stdout=self._moving is self._console,
        )
        self._task = self._bar.add_task("", total=self._total, completed=trainer.global_step, loss="-", rate="-")
        self._start(self._bar)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._tokens += batch.inputs.numel() * trainer.world_size
        now = time.monotonic()
        if self._bar is None or now - self._drawn_at < self._refresh:
            return
        assert isinstance(pl_module, LanguageModelTask)
        began, tokens = self._began
        rate = (self._tokens - tokens) / max(now - began, 1e-9)
        self._began = (now, self._tokens)
        self._drawn_at = now
        loss = "-" if pl_module.train_loss is None else f"{float(pl_module.train_loss):.3f}"
        self._bar.update(self._task, completed=trainer.global_step, loss=loss, rate=f"{rate:,.0f}")
        self._redraw(self._bar)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """What stays."""
        assert isinstance(pl_module, LanguageModelTask)
        if trainer.sanity_checking or pl_module.scores is None:
            return
        train = None if pl_module.train_loss is None else float(pl_module.train_loss)
        self._add_validation(trainer.global_step, train, pl_module.scores.loss, self._clock.tokens_per_second)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._stop()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._end(self._bar)
            self._bar = None

    # How it looks: here, on a terminal or in a file

    def show_sample(self, sample: Excerpt) -> None:
        """Below what is there."""
        self._console.print(sample)

    def _can_replace(self) -> bool:
        return self._moving.is_terminal

    def _start(self, bar: Progress) -> None:
        bar.start()

    def _redraw(self, bar: Progress) -> None:
        bar.refresh()

    def _end(self, bar: Progress) -> None:
        bar.stop()

    def _add_validation(self, step: int, train: float | None, val: float, tokens_per_second: float | None) -> None:
        total = "" if self._total is None else f"/{self._total:,}"
        trained = "" if train is None else f"train {train:.4f}   "
        speed = "" if tokens_per_second is None else f"   {tokens_per_second:,.0f} tokens/s"
        self._console.print(f"step {step:>7,}{total}   {trained}val {val:.4f}{speed}", highlight=False)
