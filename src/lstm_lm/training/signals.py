"""Ctrl-C, SIGTERM, a closed terminal, SLURM's warning: noted here, obeyed at the next step boundary (`control.py`)."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from rich.console import Console

from lstm_lm.errors import Interrupted
from lstm_lm.stop_signals import signals_that_stop
from lstm_lm.terminal import in_notebook
from lstm_lm.training.compile.compilation import Compilation
from lstm_lm.training.processes.started import has_agent

STOPS_LATER = "stopping, once what is being compiled is done; Ctrl-C again: at once, without a checkpoint"


class StopSignals:
    """As a context: the first signal is noted, a second one of the same kind ends the process at once.

    In a notebook the process is the kernel, which has more to lose than a run: there a second interrupt ends the cell.

    Until training begins, and while something is compiled that costs no step, there is nothing to save: then the first
    signal ends the run where it is.
    """

    def __init__(self, rank: int = 0, console: Console | None = None) -> None:
        self._rank, self._console = rank, console
        self.received: int | None = None
        """The number of the signal that came."""
        self.compilation: Compilation | None = None
        """torch.compile, which may take minutes and can be broken off."""
        self.saved = True
        """Whether stopping at once would lose nothing: last.ckpt is of the last step, or no step has been taken."""
        self._training, self._in_notebook = False, in_notebook()
        self._signals = signals_that_stop()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
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
            Interrupted: compiling failed after a signal had come, which then may have been the reason; or a second one
                ended a notebook's cell.
        """
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self.received is None:
            return
        # Lightning makes a SystemExit of the KeyboardInterrupt
        at_once = self._in_notebook and kind in (KeyboardInterrupt, SystemExit)
        if at_once or (self.compilation is not None and self.compilation.failed):
            raise Interrupted(self.received) from error

    def train(self) -> None:
        """From now on there are steps to save."""
        self._training = True
        self.listen()

    def listen(self) -> None:
        """Listen again: Lightning has put its own SIGTERM handler in front, which with several processes may hang."""
        if self._before and self.received is None:
            self._listen()

    def check(self) -> None:
        """Stop here if a signal came.

        Raises:
            Interrupted: it did.
        """
        if self.received is not None:
            raise Interrupted(self.received)

    def _listen(self) -> None:
        for number in self._signals:
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.received = number
        if self._rank > 0:  # rank 0 has had it too, and decides
            self._end_at_the_next(number)
            return
        if not self._training:
            raise Interrupted(number)
        if self.compilation is not None and self.compilation.at_work:
            if self.saved:
                raise Interrupted(number)
            if self._console is not None:
                self._console.print(STOPS_LATER, highlight=False)
        self._end_at_the_next(number)

    def _end_at_the_next(self, number: int) -> None:
        """But where a launcher's agent passes on what this process was sent, too, and has its way with a second one."""
        if not has_agent():
            signal.signal(number, self._before[number] if self._in_notebook else signal.SIG_DFL)
