"""The bounds of torch.compile for the length of one run, and what a person is told when it fails.

torch.compile works when a part first runs, inside a training step. So the bound on its time is an alarm that is set
while it compiles: it ends a compilation that would take an hour, not the step after it. Where no alarm can be had
(Windows; a thread that is not the main one) the time is checked between steps.
"""

import contextlib
import linecache
import logging
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
import torch.fx.experimental._config
from torch._dynamo import exc
from torch._dynamo.callback import callback_handler

import lstm_lm
from lstm_lm.errors import RunError
from lstm_lm.training.compiler_processes import CompilerProcesses
from lstm_lm.training.config import CompileOptions

_PACKAGE = Path(lstm_lm.__file__).parent
_LIMIT_LOG = logging.getLogger("torch._dynamo.convert_frame")


class _TookTooLong(BaseException):
    """Not an `Exception`: the compiler takes many of those for a reason to go on differently."""


class Compilation:
    """torch.compile, as a run uses it; as a context, for the length of the run. Undoes whatever it sets."""

    def __init__(self, options: CompileOptions) -> None:
        self._options = options
        self._seconds = 0.0
        self._began: float | None = None
        self._undo = contextlib.ExitStack()
        self._alarmed = False
        self._storm = _RecompileStorm()

    @property
    def enabled(self) -> bool:
        """Whether there is anything to compile."""
        return self._options.enabled

    @property
    def mode(self) -> str:
        """torch.compile's."""
        return self._options.mode

    @property
    def seconds(self) -> float:
        """Wall time spent compiling since `listen`."""
        return self._seconds

    @property
    def at_work(self) -> bool:
        """Whether something is being compiled at this moment."""
        return self._began is not None

    def failed(self, error: BaseException) -> bool:
        """Whether the error is that of compiling."""
        return self.enabled and self._told(error) is not None

    def __enter__(self) -> Self:
        """Make too many compilations an error instead of a silent return to eager execution; ready the alarm."""
        if not self.enabled:
            return self
        self._undo.enter_context(CompilerProcesses())
        limit = self._options.recompile_limit
        self._undo.enter_context(
            torch._dynamo.config.patch(recompile_limit=limit, fail_on_recompile_limit_hit=True, suppress_errors=False)
        )
        # two sizes that happen to be equal, T = H = 128 say, are still two: else a shorter last window compiles again
        self._undo.enter_context(torch.fx.experimental._config.patch(use_duck_shape=False))  # type: ignore[attr-defined]
        _LIMIT_LOG.addFilter(self._storm)
        self._undo.callback(_LIMIT_LOG.removeFilter, self._storm)
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
        self._undo.__exit__(kind, error, trace)
        told = None if error is None else self._told(error)
        if told is not None:
            raise RunError(told) from error

    def listen(self) -> None:
        """Time what is compiled from now on; before the first step, and after the last `compiling.reset`."""
        callback_handler.register_start_callback(self._on_start)
        callback_handler.register_end_callback(self._on_end)
        self._undo.callback(_forget, callback_handler.start_callbacks, self._on_start)
        self._undo.callback(_forget, callback_handler.end_callbacks, self._on_end)

    def check_time(self) -> None:
        """Between two steps, for where no alarm can be had.

        Raises:
            RunError: compiling has taken longer than it may.
        """
        if self._options.max_seconds is not None and self._seconds > self._options.max_seconds:
            raise RunError(self._too_long())

    # What TorchDynamo calls around a compilation

    def _on_start(self, *_: Any) -> None:
        self._began = time.perf_counter()
        if sys.platform != "win32" and self._alarmed and self._options.max_seconds is not None:
            # 0 would mean: never
            signal.setitimer(signal.ITIMER_REAL, max(1e-3, self._options.max_seconds - self._seconds))

    def _on_end(self, *_: Any) -> None:
        if sys.platform != "win32" and self._alarmed:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._began is not None:
            self._seconds += time.perf_counter() - self._began
        self._began = None

    def _can_alarm(self) -> bool:
        return (
            self._options.max_seconds is not None
            and hasattr(signal, "SIGALRM")
            and threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL  # else somebody else's
        )

    def _ring(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._began is not None:
            raise _TookTooLong

    # What is told

    def _told(self, error: BaseException) -> str | None:
        """In few lines; None: not the compiler's failure, or one that needs its traceback."""
        mode = self._options.mode
        if isinstance(error, _TookTooLong):
            return self._too_long()
        where = _where(error)
        if isinstance(error, exc.FailOnRecompileLimitHit):
            because = f"\nlast, because: {self._storm.reason}" if self._storm.reason else ""
            return (
                f"compile={mode}: {where} needs more than compile.recompile_limit={self._options.recompile_limit} "
                f"compilations{because}\nraise it, or use compile=none"
            )
        if isinstance(error, (exc.Unsupported, exc.UserError)):
            return (
                f"compile={mode}: {where} cannot be compiled as one graph: {_first_line(error)}\n"
                "use compile=none, or another forward= (HYDRA_FULL_ERROR=1 shows where)"
            )
        if isinstance(error, exc.BackendCompilerFailed):
            cause = getattr(error, "inner_exception", error)
            return (
                f"compile={mode}: compiling {where} failed: {_complaint(cause)}\n"
                "use compile=none (HYDRA_FULL_ERROR=1 shows all of it)"
            )
        return None

    def _too_long(self) -> str:
        return (
            f"compile={self._options.mode}: compiling takes longer than compile.max_seconds="
            f"{self._options.max_seconds:g}\n"
            "raise it, make model.num_layers or data.seq_len smaller, or use compile=none"
        )


class _RecompileStorm(logging.Filter):
    """Takes the reason from TorchDynamo's own report, which the error then tells: once is enough."""

    reason = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything else pass."""
        text = record.getMessage()
        if "torch._dynamo hit config." not in text:
            return True
        for line in text.splitlines():
            _, found, reason = line.partition("last reason:")
            if found:
                self.reason = reason.strip()[:300]
        return False


def _forget(callbacks: list[Any], callback: Any) -> None:
    if callback in callbacks:  # a reset forgets all of them
        callbacks.remove(callback)


def _where(error: BaseException) -> str:
    """The last call of this project's on the way to the compiler: that of the part that it was to compile."""
    inside = [frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents]
    if not inside:
        return "a part of the model"
    frame = inside[-1]
    line = linecache.getline(frame.filename, frame.lineno or 0)
    call = line[frame.colno : frame.end_colno if frame.end_lineno == frame.lineno else None].strip()
    return f"`{call or frame.name}` ({Path(frame.filename).relative_to(_PACKAGE)}:{frame.lineno})"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _complaint(error: BaseException) -> str:
    """The first error of a C++ compiler's output, else the exception's first line."""
    output = str(getattr(error, "output", ""))
    for line in output.splitlines():
        if "error:" in line:
            return line.strip()[:300]
    return _first_line(error)
