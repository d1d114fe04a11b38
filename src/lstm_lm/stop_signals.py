"""The signals that ask a process to end, as far as this system has them: the one place that knows their names.

POSIX has SIGTERM and, for a terminal that is closed, SIGHUP; SLURM may announce a job's end by SIGUSR1. Windows has
Ctrl-Break instead, as SIGBREAK: the one signal that a process there can send to another. What is done for Windows
here has not been tried there.
"""

import os
import signal


def those_there(*names: str) -> tuple[signal.Signals, ...]:
    """The signals called `names`, but for those that this system does not have."""
    return tuple(getattr(signal, name) for name in names if hasattr(signal, name))


def stop_signals() -> tuple[signal.Signals, ...]:
    """What a person or a scheduler sends to end a process: Ctrl-C, and what ends it without a terminal."""
    return those_there("SIGINT", "SIGTERM", "SIGBREAK")


def closed_terminal() -> tuple[signal.Signals, ...]:
    """What tells a process that its terminal was closed; nothing where no such signal is, or nohup has it ignored.

    A handler that somebody has set does not count: whoever listens puts it back afterwards, as with SIGTERM.
    """
    ignored_or_unknown = (signal.SIG_IGN, None)  # None: set by other than Python, and could not be put back
    return tuple(number for number in those_there("SIGHUP") if signal.getsignal(number) not in ignored_or_unknown)


def warning_signal() -> signal.Signals | None:
    """The signal that announces the end of this process's SLURM job; None outside of one."""
    return next(iter(those_there("SIGUSR1")), None) if "SLURM_JOB_ID" in os.environ else None


def signals_that_stop() -> tuple[signal.Signals, ...]:
    """Those on which a run saves and ends: of a person, of a terminal that is closed, of SLURM."""
    warning = warning_signal()
    return (*stop_signals(), *closed_terminal(), *(() if warning is None else (warning,)))
