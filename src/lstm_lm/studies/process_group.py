"""A process together with those that it started (`device=ddp`, torch.compile's workers)."""

import contextlib
import os
import signal
import subprocess


def end_group(child: subprocess.Popen[bytes]) -> None:
    """End, at once, a process that leads a group of its own, and its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
