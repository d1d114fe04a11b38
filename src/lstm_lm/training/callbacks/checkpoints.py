"""When checkpoints are written: `best.ckpt` with each better validation, `last.ckpt` so that little can be lost."""

import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console
from rich.text import Text

from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import checkpoint_file, checkpoint_form
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.checkpoint_io import PatientCheckpointIO
from lstm_lm.training.distributed import ALONE, Team
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.validation import Validation


class Checkpoints(pl.Callback):
    """Writes through the trainer, so through `PatientCheckpointIO`: one process writes, but all must be there.

    A checkpoint that cannot be written is told, and the run goes on: the next one may fit.
    """

    def __init__(
        self,
        run: RunDirectory,
        *,
        every_n_steps: int,
        every_n_minutes: float,
        keep: int,
        team: Team = ALONE,
        start: Path | None = None,
        console: Console | None = None,
    ) -> None:
        """Write to `run`; one that is continued from `start` must not replace its best by a worse one.

        `console` hears what went wrong.
        """
        self.io = PatientCheckpointIO(run.last, keep)
        """What writes them."""
        self.newest = start
        """What has been written last, or is continued."""
        self.unsaved: RunError | None = None
        """Why last.ckpt is older than it should be."""
        self._console = console
        self._run = run
        self._team = team
        self._every_n_steps = every_n_steps
        self._every_seconds = 60 * every_n_minutes
        self._written_at = time.monotonic()
        self._written_step = -1
        self._last_is_current = True
        """Whether the last attempt to write last.ckpt succeeded; the same in all processes."""
        self._at_border = False  # whether an optimizer step has just ended: within one, gradients would be lost
        self.best: Validation | None = None
        """Of best.ckpt."""
        self.best_is_trained = False
        """Whether best.ckpt has the weights as they are: this process has written it, and taken no step since."""
        if start is not None and run.best.exists():  # now, not when training starts: there may be no step left to take
            try:
                best = checkpoint_file.load(run.best)
                checkpoint_form.check_whole(best, run.best)
            except UserError as error:
                self._warn(f"{str(error).splitlines()[0]}; the next validation writes a new one")
            else:
                self.best = Validation.from_plain(best["lstm_lm"]["validation"])

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
        self.best_is_trained = False
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
        """Keep the best."""
        assert isinstance(pl_module, LanguageModelTask)
        validation = pl_module.validation
        if trainer.sanity_checking or validation is None:
            return
        if self.best is not None and not validation.scored_as(self.best):
            then, now = (f"{one.scores.counts.tokens:,}" for one in (self.best, validation))
            self._warn(
                f"validation scores other tokens than before ({then} then, {now} now): the best so far does not count"
            )
        better = validation.is_better_than(self.best)
        better = bool(self._team.decide(int(better)))  # one that cannot read best.ckpt must not write another alone
        if better and self._write_best(trainer, validation):
            self.best, self.best_is_trained = validation, True

    def _write_best(self, trainer: pl.Trainer, validation: Validation) -> bool:
        """After training, from last.ckpt of the same step: Lightning would write that the epoch is over."""
        if trainer.state.fn == TrainerFn.FITTING or self._written_step != trainer.global_step:
            return self._save(trainer, self._run.best)
        if not self._last_is_current:
            return False
        failure: RunError | None = None
        if self._team.rank == 0:
            try:
                checkpoint = checkpoint_file.load(self._run.last)
                checkpoint[checkpoint_file.SECTION]["validation"] = validation.to_plain()
                checkpoint_file.save(checkpoint, self._run.best)
            except UserError as error:  # no reason to keep the others waiting in what follows
                failure = error if isinstance(error, RunError) else RunError(str(error))
        return self._is_written(failure)

    def write_last(self, trainer: pl.Trainer) -> None:
        """Write last.ckpt now; where that fails, the next attempt is made when the next one is due."""
        written = self._save(trainer, self._run.last)
        self._last_is_current = written
        self.unsaved = None if written else self.io.failure
        self.newest = self._run.last if written else self.newest
        self._written_at = time.monotonic()
        self._written_step = trainer.global_step

    def refuse_unsaved(self) -> None:
        """Training is over: nothing more will be written.

        Raises:
            RunError: last.ckpt is not of the last step.
        """
        if self.unsaved is not None:
            raise self.unsaved

    def _save(self, trainer: pl.Trainer, path: Path) -> bool:
        trainer.save_checkpoint(path, weights_only=False)
        return self._is_written(self.io.failure)

    def _is_written(self, failure: RunError | None) -> bool:
        """What process 0 found, for all of them."""
        if failure is not None:
            self._warn(f"{str(failure).splitlines()[0]}; training goes on")
        return not self._team.decide(int(failure is not None))

    def _warn(self, line: str) -> None:
        if self._console is not None:
            self._console.print(Text(f"warning: {line}", style="yellow"))
