"""A process together with those that it started (`device=ddp`, torch.compile's workers), apart from the terminal's.

What is done for Windows here has not been tried there.
"""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Any

import psutil

OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""`creationflags` for a process that the terminal's Ctrl-C shall not reach: Windows' word for what `process_group` and
`start_new_session` are on POSIX, which Windows passes over."""


def pass_on(child: subprocess.Popen[bytes], number: int) -> None:
    """Ask a process that leads a group of its own to end, by a signal that this one has had.

    On Windows there is but one to be sent, Ctrl-Break: SIGTERM would end it with nothing saved, all others are refused.
    """
    child.send_signal(getattr(signal, "CTRL_BREAK_EVENT", number))


def end_family(child: subprocess.Popen[Any]) -> None:
    """End, at once, a process, what it has started and what those have; of one that has ended, what is in its group."""
    descendants: list[psutil.Process] = []
    if child.poll() is None:
        with contextlib.suppress(psutil.Error):
            descendants = psutil.Process(child.pid).children(recursive=True)
        child.kill()
    if sys.platform != "win32" and hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):  # it leads none, or all of it has ended
            os.killpg(child.pid, signal.SIGKILL)
    for process in descendants:
        with contextlib.suppress(psutil.Error):  # it has ended
            process.kill()


def end_own_group() -> None:
    """End this process at once, and those in its group where it leads one."""
    if sys.platform != "win32" and hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)
