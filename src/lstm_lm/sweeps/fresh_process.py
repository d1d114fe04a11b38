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
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lstm_lm.errors import ERROR_FILE
from lstm_lm.lifeline import TIED
from lstm_lm.process_group import OWN_GROUP, end_family, pass_on
from lstm_lm.sweeps.stopping import StopRequest

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
    """`unavailable`: this machine cannot do it; `interrupted`: whoever waits for it was asked to stop."""
    reason: str | None
    """Where it is not done: its last error, at most MOST_LINES lines."""
    seconds: float
    """Wall time from its start to its end."""


def run(arguments: Sequence[str], log: Path, timeout: float, stop: StopRequest) -> Ended:
    """Run `lstm_lm ARGUMENTS` with this interpreter, in the current directory; it ends with this process.

    Args:
        arguments: the verb and what it is given.
        log: takes all that it says; overwritten.
        timeout: seconds after which it is ended.
        stop: passes signals on to it.
    """
    with tempfile.TemporaryDirectory(prefix="lstm-lm-") as folder:
        told = Path(folder) / "error.json"
        began = time.monotonic()
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "lstm_lm", *arguments],
                stdin=subprocess.PIPE,  # closed by whatever ends this process: see `lifeline`
                stdout=output,
                stderr=subprocess.STDOUT,
                env=_environment(told),
                process_group=0,  # a terminal's Ctrl-C is passed on by `stop`, once
                creationflags=OWN_GROUP,
            )
            stop.watch(child)
            try:
                timed_out = not _wait(child, timeout, stop)
            finally:
                stop.watch(None)
                end_family(child)  # those that it has left behind
                child.wait()
                assert child.stdin is not None
                child.stdin.close()
        seconds = time.monotonic() - began
        if child.returncode == 0:
            return Ended("done", None, seconds)
        if stop.came:
            return Ended("interrupted", f"stopped by signal {stop.signal_number}", seconds)
        if timed_out:
            return Ended("failed", f"ended after {timeout:.0f} s: study.timeout_minutes", seconds)
        return _failure(child.returncode, told, log, seconds)


def _wait(child: subprocess.Popen[bytes], timeout: float, stop: StopRequest) -> bool:
    """Wait for it, and once it was asked to end, SECONDS_TO_STOP more; False: it was asked because time was up."""
    deadline = time.monotonic() + timeout
    while not stop.came and time.monotonic() < deadline:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(SECONDS_BETWEEN_LOOKS)
            return True
    if timed_out := not stop.came:
        pass_on(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(SECONDS_TO_STOP)
    return not timed_out


def _failure(status: int, told: Path, log: Path, seconds: float) -> Ended:
    if told.exists():
        error = json.loads(told.read_text(encoding="utf-8"))
        return Ended("unavailable" if error["unavailable"] else "failed", error["text"], seconds)
    if status < 0:
        name = signal.Signals(-status).name if -status in list(signal.Signals) else str(-status)
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        return Ended("failed", f"ended by {name}{hint}", seconds)
    return Ended("failed", _last_lines(log) or f"ended with status {status}", seconds)


def _last_lines(log: Path) -> str:
    lines = [line.rstrip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return "\n".join([line for line in lines if line][-MOST_LINES:])


def _environment(told: Path) -> dict[str, str]:
    """This process's own, and where this package is, if nobody installed it."""
    environment = {name: value for name, value in os.environ.items() if name != "HYDRA_FULL_ERROR"}
    source = Path(__file__).resolve().parents[2]
    if source.name == "src":
        path = [str(source), *filter(None, [environment.get("PYTHONPATH")])]
        environment["PYTHONPATH"] = os.pathsep.join(path)
    return environment | TIED | {ERROR_FILE: str(told)}
