"""The errors that a user can cause and mend. Everything else keeps its traceback."""


class UserError(Exception):
    """Wrong arguments, configuration or input, found before training: what, where, what to do (exit status 2).

    The message is one to four lines; the command line prints it as it is, without a traceback.
    """

    exit_status = 2


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
