"""One command in a process of its own: allocator, threads, caches and memory peaks start from nothing."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lstm_lm.errors import ERROR_FILE
from lstm_lm.lifeline import TIED
from lstm_lm.process_group import OWN_GROUP, end_family, pass_on
from lstm_lm.stop_signals import signals_that_stop
from lstm_lm.sweeps.stopping import StopRequest
from lstm_lm.terminal import LOGGED

SECONDS_TO_STOP = 60.0
"""For a process that was asked to end: a checkpoint is written."""
SECONDS_BETWEEN_LOOKS = 1.0
"""A signal that came changes how long is waited."""
MOST_LINES = 4

How = Literal["done", "unavailable", "failed", "interrupted"]


@dataclass(frozen=True)
class Ended:
    """How a process ended."""

    how: How
    """`unavailable`: this machine cannot do it; `interrupted`: it, or whoever waits for it, was asked to stop."""
    reason: str | None
    """Where it is not done: its last error, at most MOST_LINES lines."""
    seconds: float
    """Wall time from its start to its end."""
    exit_status: int = 0
    """Negative: the number of the signal that ended it."""
    traceback: str | None = None
    """Of an error in the program."""


def run(
    arguments: Sequence[str],
    log: Path,
    timeout: float,
    stop: StopRequest,
    cwd: Path | None = None,
    watched: bool = False,
) -> Ended:
    """Run `lstm_lm ARGUMENTS` with this interpreter; it ends with this process.

    Args:
        arguments: the verb and what it is given.
        log: takes all that it says, overwritten.
        timeout: seconds after which it is ended.
        stop: passes signals on to it.
        cwd: its current directory; None: this process's.
        watched: what moves, and what Python or C code complain of, goes to this process's standard error instead; the
            rest to `log`, behind what is there.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-lm-") as folder:
        error_file = Path(folder) / "error.json"
        began = time.monotonic()
        with log.open("ab" if watched else "wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "lstm_lm", *arguments],
                stdin=subprocess.PIPE,  # closed by whatever ends this process: see `lifeline`
                stdout=output,
                stderr=None if watched else subprocess.STDOUT,
                env=_environment(error_file) | ({LOGGED: "1"} if watched else {}),
                cwd=cwd,
                process_group=0,  # a terminal's Ctrl-C is passed on by `stop`, once
                creationflags=OWN_GROUP,
            )
            stop.watch(child)
            try:
                timed_out = not _wait(child, timeout, stop)
            except SystemExit:  # submitit's way to end a job that SLURM pre-empts, out of a handler of a signal
                _ask_to_end(child)
                raise
            finally:
                stop.watch(None)
                end_family(child)  # those that it has left behind
                child.wait()
                assert child.stdin is not None
                child.stdin.close()
        ended = _ended(child.returncode, error_file, None if watched else log, time.monotonic() - began)
        if ended.how != "done" and stop.came:
            return replace(ended, how="interrupted", reason=f"stopped by signal {stop.signal_number}")
        if ended.how != "done" and timed_out:
            return replace(ended, how="failed", reason=f"ended after {timeout:.0f} s: study.timeout_minutes")
        return ended


def _wait(child: subprocess.Popen[bytes], timeout: float, stop: StopRequest) -> bool:
    """Wait for it, and once it was asked to end, SECONDS_TO_STOP more; False: it was asked because time was up."""
    deadline = time.monotonic() + timeout
    while not stop.came and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(SECONDS_BETWEEN_LOOKS)
            return True
    if stop.came:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(SECONDS_TO_STOP)
        return True
    _ask_to_end(child)
    return False


def _ask_to_end(child: subprocess.Popen[bytes]) -> None:
    pass_on(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(SECONDS_TO_STOP)


def _ended(status: int, error_file: Path, log: Path | None, seconds: float) -> Ended:
    if status == 0:
        return Ended("done", None, seconds)
    if error_file.exists():
        error = json.loads(error_file.read_text(encoding="utf-8"))
        how: How = "unavailable" if error["unavailable"] else "failed"
        return Ended(how, error["text"], seconds, status, error["traceback"])
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return Ended("failed", f"ended by {name}{hint}", seconds, status)
    if status - 128 in signals_that_stop():
        return Ended("interrupted", f"stopped by signal {status - 128}", seconds, status)
    return Ended("failed", (_last_lines(log) if log else "") or f"ended with status {status}", seconds, status)


def _last_lines(log: Path) -> str:
    lines = [line.rstrip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return "\n".join([line for line in lines if line][-MOST_LINES:])


def _environment(error_file: Path) -> dict[str, str]:
    """This process's own, and where this package is, if nobody installed it."""
    environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    source = Path(__file__).resolve().parents[2]
    if source.name == "src":
        path = [str(source), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
    return environment | TIED | {ERROR_FILE: str(error_file)}
