"""A process together with those that it started (`device=ddp`, torch.compile's workers), apart from the terminal's.

What is done for Windows here has not been tried there.
"""

import contextlib
import os
import signal
import subprocess
import sys

OWN_GROUP: int = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
"""`creationflags` for a process that the terminal's Ctrl-C shall not reach: Windows' word for what `process_group` and
`start_new_session` are on POSIX, which Windows passes over."""


def pass_on(child: subprocess.Popen[bytes], number: int) -> None:
    """Ask a process that leads a group of its own to end, by a signal that this one has had.

    On Windows there is but one to be sent, Ctrl-Break: SIGTERM would end it with nothing saved, all others are refused.
    """
    child.send_signal(getattr(signal, "CTRL_BREAK_EVENT", number))


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End, at once, a process that leads a group of its own, and its group (on Windows, itself alone)."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if sys.platform != "win32" and hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
