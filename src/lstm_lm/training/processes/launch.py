"""Starts the processes of a run on this machine, with PyTorch's elastic launcher.

The process that the user started becomes the launcher's agent: it starts the others, passes signals on, ends all where
one has failed or hangs, and trains nothing itself. Rank 0 does what this process would do alone, with its terminal.
"""

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from uuid import uuid4

import psutil
import torch

from lstm_lm.errors import Interrupted, RunError
from lstm_lm.runs.summary import Summary
from lstm_lm.stop_signals import closed_terminal, stop_signals
from lstm_lm.training import requeue
from lstm_lm.training.processes import join, worker
from lstm_lm.training.processes.devices import asks_for_several, local_devices
from lstm_lm.training.processes.started import started

SECONDS_TO_END = 30
"""For a process that has been asked to; then it is killed."""
SECONDS_BETWEEN_LOOKS = 0.1
_START = (
    "import json, os, sys; order = json.load(open(sys.argv[1], encoding='utf-8')); sys.path[:] = order['path']; "
    "os.environ.update(order['environment']); from pathlib import Path; "
    "from lstm_lm.training.processes.worker import main; main(order, Path(sys.argv[1]).parent)"
)


def launches(trainer: Mapping[str, Any]) -> int | None:
    """How many processes a run must start here; None: it runs in this one, alone or with those started with it.

    Raises:
        UserError: as `join.check`, and as `local_devices`.
    """
    join.check(trainer)
    if started() is not None or not asks_for_several(trainer):
        return None
    count = len(local_devices(trainer))
    return count if count > 1 else None


def launch(
    config: Mapping[str, Any],
    run_dir: str | Path | None,
    count: int,
    *,
    console: bool,
    command: str | None,
    started_at: float | None,
    resumable: bool | None,
    record: Mapping[str, str] | None = None,
) -> Summary:
    """Have `count` new processes train as `lstm_lm.training.train.train` does alone.

    They run none of the caller's code, so this works in a script, a notebook or a test as it does on the command line.

    Args:
        config: a whole configuration, plain and resolved.
        run_dir: as `train`'s.
        count: processes, more than one.
        console: whether rank 0 prints for people, on this process's standard output.
        command: as `train`'s.
        started_at: as `train`'s.
        resumable: as `train`'s.
        record: as `train`'s.

    Raises:
        UserError, RunError, Interrupted: as `train`, from rank 0.
        RunError: a process was lost.
    """
    # seconds of imports
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory(prefix="lstm-lm-") as name:
        folder = Path(name)
        order = folder / "order.json"
        train: dict[str, Any] = {
            "config": config,
            "run_dir": None if run_dir is None else str(run_dir),
            "command": command,
            "started_at": started_at,
            "resumable": resumable,
            "record": None if record is None else dict(record),
        }
        order.write_text(
            json.dumps(
                {
                    "agent": os.getpid(),
                    "path": sys.path,
                    "environment": _environment(config["runtime"]["threads"], count),
                    "console": console,
                    "train": train,
                }
            ),
            encoding="utf-8",
        )
        launching = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id=uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="127.0.0.1",  # else a slow name server would hold up the start
            max_restarts=0,
            monitor_interval=SECONDS_BETWEEN_LOOKS,
            shutdown_timeout=SECONDS_TO_END,
            signals_to_handle="",  # `_passing_on` does
            # rank 0 alone prints; all may write errors
            logs_specs=DefaultLogsSpecs(str(folder), redirects=dict.fromkeys(range(1, count), Std.OUT)),
        )
        sys.stdout.flush()
        failed: list[tuple[int, int]] = []
        signalled: int | None = None
        with _quiet():
            try:
                with _passing_on(order):
                    elastic_launch(launching, sys.executable)("-c", _START, str(order))
            except ChildFailedError as error:
                failed = [(rank, failure.exitcode) for rank, failure in error.failures.items()]
            except SignalException as error:
                signalled = int(error.sigval)
            finally:
                _kill(order)  # of those whose start was interrupted the launcher does not know
        return _summary(folder, count, failed, signalled, console=console)


def _environment(threads: int | None, count: int) -> dict[str, str]:
    """What differs from this process's: the processes share the cores, where nobody has said how many each takes."""
    if threads is None and "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(threads or max(1, torch.get_num_threads() // count))}


@contextmanager
def _quiet() -> Iterator[None]:
    """The launcher logs what `_summary` says. On Windows (not tried) it must be told that there is no libuv."""
    logger = logging.getLogger("torch.distributed.elastic")
    propagate, nowhere = logger.propagate, logging.NullHandler()
    before = {name: os.environ.get(name) for name in ("USE_LIBUV", "TORCHELASTIC_SIGNALS_TO_HANDLE")}
    logger.propagate = False
    logger.addHandler(nowhere)
    if not join.LIBUV:
        os.environ["USE_LIBUV"] = "0"
    try:
        yield
    finally:
        logger.propagate = propagate
        logger.removeHandler(nowhere)
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _passing_on(order: Path) -> Iterator[None]:
    """The first signal the launcher passes on; whoever then has not ended in time it kills. A second one kills at once.

    Only a process's main thread hears signals.
    """
    from torch.distributed.elastic.multiprocessing import SignalException

    heard: list[int] = []

    def pass_on(number: int, _: FrameType | None) -> None:
        heard.append(number)
        if len(heard) > 1:
            _kill(order)
        else:
            raise SignalException(f"signal {number}", signal.Signals(number))

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    warning = requeue.warning_signal()
    numbers = (*stop_signals(), *closed_terminal(), *(() if warning is None else (warning,)))
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(order: Path) -> None:
    """End, at once, the processes that were started with `order`, and what is in their groups."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ProcessLookupError):  # it has ended
            if str(order) in process.cmdline():
                if hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()


def _summary(
    folder: Path, count: int, failed: list[tuple[int, int]], signalled: int | None, *, console: bool
) -> Summary:
    """What rank 0 has returned, or the reason for which the run has ended.

    `failed`: rank and exit status of those that have, in the order in which that was seen. When one has, the launcher
    ends the others.
    """
    there, first = worker.left(folder / "0")
    if isinstance(first, Summary):
        return first
    if signalled is not None:
        if isinstance(first, BaseException) and not isinstance(first, join.Lost):
            raise first
        if not there and console:
            print(f"not all of {count} processes had ended after the signal, and were killed", file=sys.stderr)
        raise Interrupted(signalled)
    lost: join.Lost | None = None
    for rank, status in failed:
        _, outcome = worker.left(folder / str(rank))
        if isinstance(outcome, join.Lost):  # of one that is still to come
            lost = lost or outcome
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            raise RunError(
                f"process {rank} of {count}, counted from 0, {how}\n"
                "so training stopped; continue from the last checkpoint with resume=auto and this hydra.run.dir"
            )
    raise lost or RunError("the processes have ended without a word")
