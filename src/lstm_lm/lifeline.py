"""A process that ends with the one that started it, however that one ends: SIGKILL, a crash, a lack of memory.

Its standard input is a pipe that the parent holds open. Whatever ends the parent closes the pipe, and a thread that
waits for that ends this process, and its group with it. Pipes are the same on every system (Windows and macOS not
tried). Linux' parent-death signal would end this process alone, not its compilers, and comes as well when no more than
the *thread* that started it ends. A call into C that lets no other thread run holds the end up until it returns.
"""

import os
import threading
import time

import psutil

from lstm_lm.process_group import end_own_group

TIED = {"LSTM_LM_TIED": "1"}
"""In the environment of a process whose standard input is such a pipe."""

SECONDS_BETWEEN_LOOKS = 1.0


def tie_if_asked() -> None:
    """End with the parent from now on, where the environment has TIED, which is taken out of it.

    Standard input is empty afterwards: the pipe is no input.
    """
    if not all(os.environ.pop(name, None) == value for name, value in TIED.items()):
        return
    pipe, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    tie(pipe)


def tie(pipe: int) -> None:
    """End with whoever holds the other end of `pipe`, a file descriptor to read from."""
    threading.Thread(target=_end_after, args=(pipe,), name="lifeline", daemon=True).start()


def tie_without_pipe(parent: int) -> None:
    """End with the process `parent`, where that has started this one; for processes that a library starts."""
    name = "lifeline of a job"
    if os.getppid() != parent or any(thread.name == name for thread in threading.enumerate()):
        return
    threading.Thread(target=_end_after_process, args=(parent,), name=name, daemon=True).start()


def _end_after(pipe: int) -> None:
    while os.read(pipe, 2**10):
        pass
    end_own_group()


def _end_after_process(pid: int) -> None:
    """POSIX gives an orphan another parent; Windows does not, but tells that the old one is gone."""
    try:
        parent = psutil.Process(pid)
        while os.getppid() == pid and parent.is_running():
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except psutil.NoSuchProcess:
        pass
    end_own_group()
