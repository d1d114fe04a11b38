"""torch.compile for the length of one run: what it is given, its bounds, and what a person is told when it fails.

TorchDynamo refuses the vendor's LSTM, so a model compiled as a whole runs eagerly without saying so. What lies around
the stack of layers compiles, each such part as one full graph, and so does what a forward strategy hands over.

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
import traceback
from pathlib import Path
from types import FrameType, TracebackType
from typing import NamedTuple, Self

import torch
import torch.fx.experimental._config
from torch._dynamo import exc
from torch._dynamo.callback import CallbackArgs, callback_handler
from torch._dynamo.utils import counters, get_compilation_metrics

import lstm_lm
from lstm_lm.errors import RunError, UserError
from lstm_lm.models.interface import LanguageModel
from lstm_lm.training.compile.compilers import end_compilers
from lstm_lm.training.config import CompileOptions
from lstm_lm.training.objectives.interface import Objective

_PACKAGE = Path(lstm_lm.__file__).parent
_LONGEST = 300
_LIMIT_LOG = logging.getLogger("torch._dynamo.convert_frame")


class CompileCounts(NamedTuple):
    """What TorchDynamo has done since `reset`."""

    graphs: int
    breaks: int


def compile_parts(options: CompileOptions, model: LanguageModel, objective: Objective) -> None:
    """Mark, in place, every part of both that can be one graph; it is compiled when it first runs.

    Names in the state dict stay as they are. Does nothing where `options` are not enabled.

    Raises:
        UserError: the model has no such part: all of it would run eagerly.
    """
    if not options.enabled:
        return
    objective.compile(options.mode)
    if not model.compile_parts(options.mode):
        raise UserError(
            f"compile={options.mode}: this model has no part that torch.compile can take: nothing of it would be "
            "compiled\nuse compile=none, or another model= or forward="
        )


def reset() -> None:
    """Forget compiled code and counts, of the whole process."""
    torch._dynamo.reset()
    counters.clear()


def counts() -> CompileCounts:
    """Graphs compiled and graph breaks met since `reset`."""
    return CompileCounts(counters["stats"]["unique_graphs"], sum(counters["graph_break"].values()))


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
        self.failed = False
        """Whether it has ended in an error."""
        self._began: float | None = None
        self._alarmed = False
        self._undo = contextlib.ExitStack()

    @property
    def at_work(self) -> bool:
        """Whether something is being compiled at this moment."""
        return self._began is not None

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
            self.failed = True
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
    """Whether it is more than what the error says of the limit of compilations."""
    return "torch._dynamo hit config." not in record.getMessage()


class TookTooLong(BaseException):
    """Not an `Exception`: the compiler takes many of those for a reason to continue differently."""


def explain(error: BaseException, options: CompileOptions) -> str | None:
    """In few lines; None: not the compiler's failure, or one that needs its traceback."""
    if isinstance(error, TookTooLong):
        return too_long(options)
    begin = f"compile={options.mode}:"
    if isinstance(error, exc.FailOnRecompileLimitHit):
        reason = get_compilation_metrics()[-1].recompile_reason
        because = f"\nlast, because: {reason[:_LONGEST]}" if reason else ""
        return (
            f"{begin} {_where(error)} needs more than compile.recompile_limit={options.recompile_limit} "
            f"compilations{because}\nraise it, or use compile=none"
        )
    if isinstance(error, (exc.Unsupported, exc.UserError)):
        return (
            f"{begin} {_where(error)} cannot be compiled as one graph: {_first_line(error)}\n"
            "use compile=none, or another forward= (HYDRA_FULL_ERROR=1 shows where)"
        )
    if isinstance(error, exc.BackendCompilerFailed):
        cause = getattr(error, "inner_exception", error)
        return (
            f"{begin} compiling {_where(error)} failed: {_complaint(cause)}\n"
            "use compile=none (HYDRA_FULL_ERROR=1 shows all of it)"
        )
    return None


def too_long(options: CompileOptions) -> str:
    """Where the bound on time has ended it."""
    return (
        f"compile={options.mode}: compiling takes longer than compile.max_seconds={options.max_seconds:g}\n"
        "raise it, make model.num_layers or data.seq_len smaller, or use compile=none"
    )


def _where(error: BaseException) -> str:
    """The last call of this project's on the way to the compiler: that of the part that it was to compile."""
    inside = [frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents]
    if not inside:
        return "a part of the model"
    frame = inside[-1]
    return f"`{frame.line or frame.name}` ({Path(frame.filename).relative_to(_PACKAGE)}:{frame.lineno})"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST]


def _complaint(error: BaseException) -> str:
    """The first error of a C++ compiler's output, else the exception's first line."""
    for line in str(getattr(error, "output", "")).splitlines():
        if "error:" in line:
            return line.strip()[:_LONGEST]
    return _first_line(error)
