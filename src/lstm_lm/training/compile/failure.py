"""What a person is told when compiling fails: which part, why, and what to do instead, in at most four lines."""

import traceback
from pathlib import Path

from torch._dynamo import exc
from torch._dynamo.utils import get_compilation_metrics

import lstm_lm
from lstm_lm.training.config import CompileOptions

_PACKAGE = Path(lstm_lm.__file__).parent
_LONGEST = 300


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
