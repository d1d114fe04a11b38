"""The bounds of torch.compile for the length of one run.

torch.compile works when a part first runs, inside a training step. So the bound on its time is an alarm that is set
while it compiles: it ends a compilation that would take an hour, not the step after it. Where no alarm can be had
(Windows; a thread that is not the main one) the time is checked between steps.
"""

import contextlib
import logging
import signal
import sys
import threading
import time
from types import FrameType, TracebackType
from typing import Self

import torch
import torch.fx.experimental._config
from torch._dynamo.callback import CallbackArgs, callback_handler

from lstm_lm.errors import RunError
from lstm_lm.training.compile.compilers import end_compilers
from lstm_lm.training.compile.failure import TookTooLong, explain, too_long
from lstm_lm.training.compile.parts import reset
from lstm_lm.training.config import CompileOptions

_LIMIT_LOG = logging.getLogger("torch._dynamo.convert_frame")


class Compilation:
    """torch.compile, as a run uses it; as a context, for the length of the run. Undoes whatever it sets.

    A process has one at a time: it begins by forgetting what an earlier one has compiled.
    """

    def __init__(self, options: CompileOptions) -> None:
        self.options = options
        self.enabled = options.enabled
        """Whether there is anything to compile."""
        self.seconds = 0.0
        """Wall time spent compiling."""
        self._began: float | None = None
        self._alarmed = False
        self._undo = contextlib.ExitStack()

    @property
    def at_work(self) -> bool:
        """Whether something is being compiled at this moment."""
        return self._began is not None

    def failed(self, error: BaseException) -> bool:
        """Whether the error is that of compiling."""
        return self.enabled and explain(error, self.options) is not None

    def check_time(self) -> None:
        """Between two steps, for where no alarm can be had.

        Raises:
            RunError: compiling has taken longer than it may.
        """
        if self.options.max_seconds is not None and self.seconds > self.options.max_seconds:
            raise RunError(too_long(self.options))

    def __enter__(self) -> Self:
        """Make too many compilations an error instead of a silent return to eager execution; ready the alarm."""
        if not self.enabled:
            return self
        reset()
        limit = self.options.recompile_limit
        self._undo.enter_context(
            torch._dynamo.config.patch(recompile_limit=limit, fail_on_recompile_limit_hit=True, suppress_errors=False)
        )
        # two sizes that happen to be equal, T = H = 128 say, are still two: else a shorter last window compiles again
        self._undo.enter_context(torch.fx.experimental._config.patch(use_duck_shape=False))  # type: ignore[attr-defined]
        _LIMIT_LOG.addFilter(_says_something_new)
        self._undo.callback(_LIMIT_LOG.removeFilter, _says_something_new)
        callback_handler.register_start_callback(self._on_start)
        callback_handler.register_end_callback(self._on_end)
        self._undo.callback(self._stop_listening)
        if sys.platform != "win32" and self._can_alarm():
            self._alarmed = True
            self._undo.callback(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, self._ring))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put everything back; say in few lines why compiling failed.

        Raises:
            RunError: the compiler failed, took too long, or was called too often.
        """
        if not self.enabled:
            return
        self._undo.close()
        if error is None:
            return
        end_compilers()  # nobody needs any more what they compile
        text = explain(error, self.options)
        if text is not None:
            raise RunError(text) from error

    # What TorchDynamo calls around a compilation

    def _on_start(self, _: CallbackArgs) -> None:
        self._began = time.perf_counter()
        if sys.platform != "win32" and self._alarmed and self.options.max_seconds is not None:
            # 0 would mean: never
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, self.options.max_seconds - self.seconds))

    def _on_end(self, _: CallbackArgs) -> None:
        if sys.platform != "win32" and self._alarmed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._began is not None:
            self.seconds += time.perf_counter() - self._began
        self._began = None

    def _stop_listening(self) -> None:
        with contextlib.suppress(ValueError):  # a reset has forgotten them
            callback_handler.remove_start_callback(self._on_start)
            callback_handler.remove_end_callback(self._on_end)

    def _can_alarm(self) -> bool:
        return (
            self.options.max_seconds is not None
            and hasattr(signal, "SIGALRM")
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL  # else somebody else's
        )

    def _ring(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._began is not None:
            raise TookTooLong


def _says_something_new(record: logging.LogRecord) -> bool:
    """Not what the error says of the limit of compilations."""
    return "torch._dynamo hit config." not in record.getMessage()
