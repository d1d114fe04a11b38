"""The outermost layer: whatever a command raises becomes an exit status and, on standard error, a few lines."""

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NamedTuple

from lstm_lm.cli.error_file import write_error_file
from lstm_lm.device_memory import lacks_memory
from lstm_lm.display import OutputLost, standard_streams
from lstm_lm.errors import Interrupted, RunError, UserError
from lstm_lm.printable import shown
from lstm_lm.stop_signals import stop_signals

MOST_LINES = 4
FAILED = 1
_BROKEN_PIPE = 128 + 13  # as if SIGPIPE had ended the process, which is what other programs in a pipe do
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}


class ShortError(NamedTuple):
    """What a person reads instead of a traceback."""

    exit_status: int
    text: str
    """One to MOST_LINES lines."""


def explain(error: BaseException) -> ShortError | None:
    """The short form of an error that a user can cause; None: this is another one, and its traceback is needed."""
    if isinstance(error, UserError):
        return ShortError(error.exit_status, "\n".join(str(error).splitlines()[:MOST_LINES]) or type(error).__name__)
    if lacks_memory(error):
        cause = shown(" ".join(str(error).split())) or type(error).__name__
        return ShortError(
            RunError.exit_status,
            f"not enough memory: {cause}\n"
            "a smaller model, batch or window takes less; limits (ulimit -v, -u, a container's) may leave too little",
        )
    if isinstance(error, OutputLost):
        return ShortError(
            RunError.exit_status, f"standard output cannot be written: {error.cause.strerror or error.cause}"
        )
    if isinstance(error, OSError) and error.errno in _NO_SPACE:
        where = f"{shown(str(error.filename))}: " if error.filename else ""
        return ShortError(RunError.exit_status, f"{where}no space left on this disk; free some, and run the same again")
    return None


def run_in_shell(command: Callable[[], int], *, answers: bool = False) -> int:
    """Run `command`; gives the exit status. `HYDRA_FULL_ERROR=1` shows the tracebacks of all errors.

    With `answers`, what it is run for goes to standard output, so that without one there is nothing to do.
    """
    full = os.environ.get("HYDRA_FULL_ERROR") == "1"  # before it is set for Hydra, so that it raises
    with standard_streams() as has_output:
        try:
            if answers and not has_output:
                raise UserError("standard output is closed, and this command writes its answer there")
            with _ending_on_signals():
                status = command()
            sys.stdout.flush()  # here, where a closed pipe is expected
            return status
        except Interrupted as stop:
            return stop.exit_status
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 128 + signal.SIGINT
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else FAILED if stop.code else 0
        except Exception as error:
            if isinstance(error, OutputLost) and _nobody_reads(error.cause):
                return _BROKEN_PIPE
            short = explain(error)
            if write_error_file(error, short.text if short else None):  # who runs this as a row prints it
                return short.exit_status if short else FAILED
            if short is None or full:
                traceback.print_exception(error)
            if short is None:
                return FAILED
            print(f"error: {short.text}", file=sys.stderr)
            return short.exit_status


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """SIGTERM and Ctrl-Break do as Ctrl-C does, at any moment: what was begun is tidied up, and other processes end."""

    def stop(number: int, _: FrameType | None) -> None:
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in stop_signals() if number != signal.SIGINT}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _nobody_reads(error: OSError) -> bool:
    """Whether whoever read standard output has gone; Windows (not tried) says EINVAL of that."""
    return error.errno in (errno.EPIPE, errno.EINVAL)
