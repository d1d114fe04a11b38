"""The errors that a user can cause and mend. Everything else keeps its traceback."""

ERROR_FILE = "LSTM_LM_ERROR_FILE"
"""The environment variable that names a file: a command that fails says there, as JSON, with what error.

So a study tells what cannot run here from what is wrong: the exit status is the same for both.
"""


class UserError(Exception):
    """Wrong arguments, configuration or input, found before training: what, where, what to do (exit status 2).

    The message is one to four lines; the command line prints it as it is, without a traceback.
    """

    exit_status = 2


class Unavailable(UserError):
    """This machine cannot do what was asked for: a device, precision or compiler that is not here, too little memory.

    A study skips such a row; another configuration, or another machine, is what helps.
    """


class RunError(UserError):
    """Something outside the program that went wrong after work had begun: a full disk, say (exit status 1)."""

    exit_status = 1


class Interrupted(BaseException):
    """A signal asked the run to stop, and it has stopped cleanly (exit status 128 + the signal's number).

    Not an `Exception`: like `KeyboardInterrupt`, nothing on the way out may swallow it.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.exit_status = 128 + signal_number
