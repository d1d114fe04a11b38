"""When checkpoints are written: `best.ckpt` with each better validation, `last.ckpt` so that little can be lost."""

import time
from typing import Any

import lightning.pytorch as pl

from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.module import LanguageModelTask


class Checkpoints(pl.Callback):
    """Writes through the trainer, so through `GuardedCheckpointIO`."""

    def __init__(self, run: RunDirectory, *, every_n_steps: int, every_n_minutes: float) -> None:
        self._run = run
        self._every_n_steps = every_n_steps
        self._every_seconds = 60 * every_n_minutes
        self._written_at = time.monotonic()
        self._written_step = -1
        self.best_loss: float | None = None
        """Nats per token of best.ckpt."""
        self.best_step: int | None = None

    def state_dict(self) -> dict[str, Any]:
        """The best so far is part of a checkpoint: a resumed run must not replace it by a worse one."""
        return {"best_loss": self.best_loss, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The reverse."""
        self.best_loss = state_dict["best_loss"]
        self.best_step = state_dict["best_step"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Minutes count from here."""
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """By steps and by the clock, between optimizer steps."""
        step = trainer.global_step
        if step == self._written_step:
            return
        if step % self._every_n_steps == 0 or time.monotonic() - self._written_at > self._every_seconds:
            self.write_last(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation may take long, and may be interrupted."""
        if trainer.training and trainer.global_step != self._written_step:
            self.write_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the best."""
        assert isinstance(pl_module, LanguageModelTask)
        if trainer.sanity_checking or pl_module.scores is None:
            return
        loss = pl_module.scores.loss
        if self.best_loss is None or loss < self.best_loss:
            self.best_loss, self.best_step = loss, trainer.global_step
            trainer.save_checkpoint(self._run.best, weights_only=False)

    def write_last(self, trainer: pl.Trainer) -> None:
        """Write last.ckpt now."""
        trainer.save_checkpoint(self._run.last, weights_only=False)
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step
