"""When a run saves and when it stops: all processes agree once a step, at the step boundary."""

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.plugins.io import CheckpointIO
from lightning.pytorch.trainer.states import TrainerFn

from lstm_lm.errors import Interrupted, UserError
from lstm_lm.models.weights import model_weights
from lstm_lm.renaming import remove
from lstm_lm.runs import checkpoint_file
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.others import refuse_foreign
from lstm_lm.training.plan import Checkpoint, Plan
from lstm_lm.training.processes.team import Team
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.state import Validation

CONTINUE, SAVE = 0, -1
"""What is agreed on; a positive number is the signal to stop by."""


class Control(pl.Callback):
    """The last callback: what others record of a step is there when its checkpoint is.

    A checkpoint is due every few steps or minutes, at an epoch's end, before a validation and at the very last step. It
    is always written here and never after training: once Lightning has left its loop it takes the epoch for a whole
    one, so a checkpoint written then would skip the rest of it when resumed.
    """

    def __init__(self, plan: Plan, writer: NoWriter, signals: StopSignals, team: Team) -> None:
        self._run, self._writer, self._signals, self._team = plan.run, writer, signals, team
        self._options = plan.config.checkpoints
        self._newest = None if plan.checkpoint is None else plan.checkpoint.path
        self.best = plan.best
        """The validation of best.ckpt."""
        self.best_is_trained = False
        """Whether best.ckpt has the weights as they are: this process has written it, and taken no step since."""
        self._saved_at = time.monotonic()
        self._saved_step = -1 if plan.checkpoint is None else plan.checkpoint.step
        self._last_is_current = True  # whether the last attempt to save succeeded; the same in all processes
        self._at_step_boundary = False  # within a step, half summed gradients would be lost

    # Training

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do what Lightning leaves out where it resumes from a checkpoint that was written in its loop.

        Resuming behind an epoch's last window, it counts that epoch, and takes the next one for begun: that one is not
        counted then, so a second interruption in it would train one epoch more. And a validation that was due has not
        been made: early stopping and averaging go by every one.
        """
        assert isinstance(pl_module, LanguageModelTask)
        self._signals.train()
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        fit, windows = trainer.fit_loop, trainer.fit_loop.epoch_loop
        if fit.restarted_mid_epoch and windows.restarted_on_train_batch_end and windows.batch_progress.is_last_batch:
            fit.reset_restart_stage()
        if pl_module.validation_is_due:
            windows.val_loop.restarting = False
            trainer.validating = True
            windows.val_loop.run()
            trainer.training = True

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Agree, save at most once, stop."""
        assert isinstance(pl_module, LanguageModelTask)
        self._writer.begin()
        self.best_is_trained = self._signals.saved = False
        self._at_step_boundary = pl_module.at_step_boundary(batch_idx)
        if not self._at_step_boundary:
            return
        agreed = self._team.agree(self._signals.received or (SAVE if self._is_due(trainer) else CONTINUE))
        if agreed != CONTINUE:
            self._save_last(trainer)
        if agreed > 0:
            self.refuse_unsaved()
            raise Interrupted(agreed)

    def _is_due(self, trainer: pl.Trainer) -> bool:
        options, step = self._options, trainer.global_step
        return options is not None and (
            step % options.every_n_steps == 0
            or trainer.is_last_batch
            or trainer.should_stop
            or step == trainer.max_steps
            or time.monotonic() - self._saved_at > 60 * options.every_n_minutes
        )

    # Validation and test

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save: a validation may take long, and may be interrupted."""
        self._signals.train()
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking and self._at_step_boundary:
            self._save_last(trainer)
        self._signals.saved = True

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.stop_if_agreed()  # at once: last.ckpt was written when the validation began

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the best."""
        assert isinstance(pl_module, LanguageModelTask)
        self._signals.saved = False  # the result is in no last.ckpt yet
        validation = pl_module.state.validation
        if trainer.sanity_checking or validation is None or self._options is None:
            return
        if self.best is not None and not validation.scored_as(self.best):
            then, now = (f"{one.scores.counts.tokens:,}" for one in (self.best, validation))
            self._writer.notify(
                f"validation scores other tokens than before ({then} then, {now} now): the best so far does not count"
            )
        # Agreed: one that cannot read best.ckpt must not write another alone.
        better = bool(self._team.agree(int(validation.is_better_than(self.best))))
        if better and self._save_best(trainer, validation):
            self.best, self.best_is_trained = validation, True

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._signals.train()  # Lightning has put its own handler in front
        self._signals.saved = True

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self.stop_if_agreed()  # at once: last.ckpt was written when training ended

    def stop_if_agreed(self) -> None:
        """Outside of training: where rank 0 has noted a signal, all stop.

        Raises:
            Interrupted: it has.
        """
        if agreed := self._team.agree(self._signals.received or CONTINUE):
            raise Interrupted(agreed)

    # Files

    def refuse_unsaved(self) -> None:
        """Training is over: nothing more will be written.

        Raises:
            RunError: last.ckpt is not of the last step.
        """
        if self._writer.unsaved is not None:
            raise self._writer.unsaved

    def newest(self) -> Path | None:
        """The newest checkpoint that is whole; None: there is none yet."""
        return self._newest if self._newest is None or self._newest.exists() else self._run.last

    def take_best(self, task: LanguageModelTask) -> None:
        """Give the model the weights of best.ckpt, where there is one; their average, where there is one.

        Raises:
            UserError: the checkpoint is damaged.
        """
        if self.best is not None and not self.best_is_trained:
            weights = self._team.share(lambda: model_weights(checkpoint_file.load(self._run.best)))
            task.model.load_state_dict(weights)
            task.state.average.forget()
        else:
            task.state.average.keep()

    def _save_last(self, trainer: pl.Trainer) -> None:
        """Once a step; where it fails, the next attempt is made when the next one is due."""
        if self._options is None or trainer.global_step == self._saved_step:
            return
        self._last_is_current = self._save(trainer, self._run.last)
        self._newest = self._run.last if self._last_is_current else self._newest
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
        self._signals.saved = True

    def _save_best(self, trainer: pl.Trainer, validation: Validation) -> bool:
        """After training, from last.ckpt of the same step: Lightning would write that the epoch is over."""
        if trainer.state.fn == TrainerFn.FITTING or self._saved_step != trainer.global_step:
            return self._save(trainer, self._run.best)
        if not self._last_is_current:
            return False
        self._writer.begin()  # from here on, what is resumed is last.ckpt
        saved = True
        if self._team.rank == 0:
            try:
                checkpoint = checkpoint_file.load(self._run.last)
                checkpoint[checkpoint_file.SECTION]["validation"] = validation.to_plain()
                saved = self._writer.save(checkpoint, self._run.best)
            except UserError as error:  # no reason to keep the others waiting in what follows
                self._writer.notify(f"{str(error).splitlines()[0]}; training continues")
                saved = False
        return bool(self._team.agree(int(saved)))

    def _save(self, trainer: pl.Trainer, path: Path) -> bool:
        """Through the trainer: one process writes, but all must be there."""
        trainer.save_checkpoint(path, weights_only=False)
        io = trainer.strategy.checkpoint_io
        assert isinstance(io, RunCheckpointIO)
        return bool(self._team.agree(int(io.saved)))


class RunCheckpointIO(CheckpointIO):
    """Lightning's way to checkpoints: written by the run's writer, and read once, by the plan.

    Other people's callbacks write theirs through it, too.
    """

    def __init__(self, writer: NoWriter, folder: Path, resumed: Checkpoint | None) -> None:
        self._writer, self._folder = writer, folder
        self._written: set[Path] = set()
        self._resumed = resumed
        self.saved = True
        """Whether the last one could be written. It is no error: with several processes all meet after the writing."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        for key, state in checkpoint.get("callbacks", {}).items():
            refuse_foreign(key, state)
        self._writer.begin()  # of a run that is resumed, a validation may be the first that has something to save
        checkpoint[checkpoint_file.SECTION]["row"] = self._writer.open_row
        file = Path(path)
        with suppress(OSError):  # the writer says why there is no checkpoint then
            file.parent.mkdir(parents=True, exist_ok=True)
        self.saved = self._writer.save(checkpoint, file)
        self._written.add(file.resolve())

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        if self._resumed is None or Path(path) != self._resumed.path:
            raise RuntimeError(f"{path}: not the checkpoint that is resumed")
        return self._resumed.take()

    def remove_checkpoint(self, path: Any) -> None:
        """What lies elsewhere, and was not written here, stays: a callback may have its name from a checkpoint."""
        file = Path(path).resolve()
        if file in self._written or file.is_relative_to(self._folder.resolve()):
            remove(file)
        else:
            self._writer.notify(f"{path}: is left there: it is outside the run directory, and of an earlier process")
