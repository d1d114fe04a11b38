"""When checkpoints are written: `best.ckpt` with each better validation, `last.ckpt` so that little can be lost."""

import math
import time
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn

from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.distributed import ALONE, Team
from lstm_lm.training.module import LanguageModelTask


class Checkpoints(pl.Callback):
    """Writes through the trainer, so through `GuardedCheckpointIO`: one process writes, but all must be there."""

    def __init__(
        self,
        run: RunDirectory,
        *,
        every_n_steps: int,
        every_n_minutes: float,
        team: Team = ALONE,
        resumed: bool = False,
    ) -> None:
        """Write to `run`; a `resumed` run must not replace its best by a worse one."""
        self._run = run
        self._team = team
        self._every_n_steps = every_n_steps
        self._every_seconds = 60 * every_n_minutes
        self._written_at = time.monotonic()
        self._written_step = -1
        self._at_border = False  # whether an optimizer step has just ended: within one, gradients would be lost
        self.best_loss: float | None = None
        """Nats per token of best.ckpt."""
        self.best_step: int | None = None
        self.best_shares: dict[str, float] = {}
        """What else was counted in that validation."""
        if resumed and run.best.exists():  # now, not when training starts: there may be no step left to take
            best = checkpoint_file.load(run.best)["lstm_lm"]["validation"]
            self.best_loss, self.best_step = best["loss"], best["step"]
            self.best_shares = best.get("shares", {})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Minutes count from here."""
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """By steps, by the clock, at an epoch's end, and at the very last step.

        Always here and never after training: once Lightning has left its loop it takes the epoch for a whole one, so
        a checkpoint written then would skip the rest of it when resumed.
        """
        assert isinstance(pl_module, LanguageModelTask)
        step = trainer.global_step
        self._at_border = pl_module.at_border(batch_idx)
        if step == self._written_step or not self._at_border:
            return
        due = step % self._every_n_steps == 0
        ends = trainer.is_last_batch or trainer.should_stop or step == trainer.max_steps
        if due or ends or self._team.decide(time.monotonic() - self._written_at > self._every_seconds):
            self.write_last(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation may take long, and may be interrupted."""
        training = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        if training and self._at_border and trainer.global_step != self._written_step:
            self.write_last(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the best; a loss that is no number is none."""
        assert isinstance(pl_module, LanguageModelTask)
        if trainer.sanity_checking or pl_module.scores is None:
            return
        loss = pl_module.scores.loss
        if math.isfinite(loss) and (self.best_loss is None or loss < self.best_loss):
            self.best_loss, self.best_step = loss, trainer.global_step
            self.best_shares = dict(pl_module.scores.shares)
            self._write_best(trainer, pl_module)

    def _write_best(self, trainer: pl.Trainer, task: LanguageModelTask) -> None:
        """After training, from last.ckpt of the same step: Lightning would write that the epoch is over."""
        if trainer.state.fn == TrainerFn.FITTING or self._written_step != trainer.global_step:
            trainer.save_checkpoint(self._run.best, weights_only=False)
        elif self._team.rank == 0:
            checkpoint = checkpoint_file.load(self._run.last)
            checkpoint[checkpoint_file.SECTION]["validation"] = task.last_validation
            checkpoint_file.save(checkpoint, self._run.best)

    def write_last(self, trainer: pl.Trainer) -> None:
        """Write last.ckpt now."""
        trainer.save_checkpoint(self._run.last, weights_only=False)
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step
