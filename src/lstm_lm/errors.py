"""The errors that a user can cause and mend. Everything else keeps its traceback."""

import os
import traceback

from lstm_lm.printable import printable, shortened

ERROR_FILE = "LSTM_LM_ERROR_FILE"
"""The environment variable that names a file: a command that fails says there, as JSON, with what error, and is silent.

So whoever runs a row of a sweep or study tells what cannot run here from what is wrong, which exit statuses do not say,
and what is wrong is said once.
"""
LONGEST_LINE = 2000
"""Characters of a line of a message."""


def _as_shown(error: BaseException) -> list[str]:
    """What IPython prints for an error: lines, as on the command line; `HYDRA_FULL_ERROR=1` shows the traceback."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        return traceback.format_exception(error)
    return [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", ())]


class UserError(Exception):
    """Wrong arguments, configuration or input, found before training: what, where, what to do (exit status 2).

    The message is one to four lines; the command line prints it as it is, without a traceback. What it quotes may hold
    anything: what a terminal would not show as it is becomes an escape, and a line without end loses its middle.
    """

    exit_status = 2

    def __init__(self, message: str) -> None:
        super().__init__("\n".join(map(_line, message.split("\n"))))

    _render_traceback_ = _as_shown


class Unavailable(UserError):
    """This machine cannot do what was asked for: a device, precision or compiler that is not here, too little memory.

    A study skips such a row; another configuration, or another machine, is what helps.
    """


class RunError(UserError):
    """Something outside the program that went wrong after work had begun: a full disk, say (exit status 1)."""

    exit_status = 1


class Interrupted(BaseException):
    """A signal asked the run to stop, and it has stopped cleanly (exit status 128 + the signal's number).

    130 for Ctrl-C, 143 for SIGTERM; on Windows 149 for Ctrl-Break, which is signal 21 there.
    Not an `Exception`: like `KeyboardInterrupt`, nothing on the way out may swallow it.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number
        self.exit_status = 128 + signal_number

    _render_traceback_ = _as_shown

    def __reduce__(self) -> tuple[type["Interrupted"], tuple[int]]:
        """So that it comes back from other processes."""
        return type(self), (self.signal_number,)


def _line(text: str) -> str:
    return shortened(printable(text), LONGEST_LINE)
