"""Ctrl-C and SIGTERM (and SLURM's warning) end a run between two steps, with a checkpoint and without an evaluation."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import lightning.pytorch as pl
from rich.console import Console

from lstm_lm.errors import Interrupted
from lstm_lm.stop_signals import closed_terminal, stop_signals
from lstm_lm.training import requeue
from lstm_lm.training.callbacks.checkpoints import Checkpoints
from lstm_lm.training.compilation import Compilation
from lstm_lm.training.distributed import ALONE, Team
from lstm_lm.training.module import LanguageModelTask

STOPS_LATER = "stopping after this step, which is being compiled; Ctrl-C again: at once, without a checkpoint"


class StopOnSignal(pl.Callback):
    """The first signal asks; a second one of the same kind ends the process at once. Of several, process 0 decides.

    Compiling may take minutes: it is broken off where no step would be lost by that.
    """

    def __init__(
        self,
        checkpoints: Checkpoints | None,
        team: Team = ALONE,
        compilation: Compilation | None = None,
        console: Console | None = None,
    ) -> None:
        self._checkpoints = checkpoints
        self._team = team
        self._compilation = compilation
        self._console = console
        self._received: int | None = None
        self._training = False
        self._steps_to_lose = False
        """Whether steps have been taken since last.ckpt was written, or may have been."""
        warning = requeue.warning_signal()
        self._signals = (*stop_signals(), *closed_terminal(), *(() if warning is None else (warning,)))
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopOnSignal":
        """Listen. Only a process's main thread can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.getsignal(number) for number in self._signals}
            self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the handlers back that were there.

        Raises:
            Interrupted: compiling failed after a signal had come, which then may have been the reason.
        """
        for number, handler in self._before.items():
            signal.signal(number, handler)
        compilation = self._compilation
        if self._received is not None and error is not None and compilation is not None and compilation.failed(error):
            raise Interrupted(self._received) from error

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lightning has put its own SIGTERM handler in front by now, which with several processes may wait for ever."""
        self._training = True
        if self._before and self._received is None:
            self._listen()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A validation after training: Lightning has put its handler in front again."""
        self.on_train_start(trainer, pl_module)
        self._steps_to_lose = False  # last.ckpt has just been written

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Its result is in no last.ckpt yet."""
        self._steps_to_lose = True

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """And once more."""
        self.on_train_start(trainer, pl_module)
        self._steps_to_lose = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Between two optimizer steps everything is whole."""
        assert isinstance(pl_module, LanguageModelTask)
        self._steps_to_lose = True
        if not pl_module.at_border(batch_idx):
            return
        received = self._team.decide(self._received or 0)
        if received:
            if self._checkpoints is not None:
                self._checkpoints.write_last(trainer)
                self._checkpoints.refuse_unsaved()
            raise Interrupted(received)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """last.ckpt was written when the validation began."""
        self._check_together()

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """last.ckpt was written when training ended."""
        self._check_together()

    def check(self) -> None:
        """Stop here if a signal came.

        Raises:
            Interrupted: it did.
        """
        if self._received is not None:
            raise Interrupted(self._received)

    def _check_together(self) -> None:
        """Where all processes are: what process 0 has heard counts, so that none is left waiting for another."""
        received = self._team.decide(self._received or 0) if self._team.connected else self._received
        if received:
            raise Interrupted(received)

    def _listen(self) -> None:
        for number in self._signals:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        if self._team.rank > 0:  # process 0 has had it too, and decides
            signal.signal(number, signal.SIG_DFL)
            return
        if not self._training:  # text is being read or downloaded: there is nothing to save
            raise Interrupted(number)
        if self._compilation is not None and self._compilation.at_work:
            if not self._steps_to_lose and self._team.size == 1:
                raise Interrupted(number)
            if self._console is not None:
                self._console.print(STOPS_LATER, highlight=False)
        signal.signal(number, signal.SIG_DFL)
