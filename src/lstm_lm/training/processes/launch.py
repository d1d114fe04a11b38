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
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple
from uuid import uuid4

import psutil
import torch

from lstm_lm.errors import Interrupted, RunError
from lstm_lm.runs.summary import Summary
from lstm_lm.stop_signals import signals_that_stop
from lstm_lm.training.processes import join
from lstm_lm.training.processes.devices import asks_for_several, local_devices
from lstm_lm.training.processes.started import started
from lstm_lm.training.processes.worker import left

SECONDS_TO_END = 30
"""For a process that has been asked to; then it is killed."""
SECONDS_BETWEEN_LOOKS = 0.1
_START = (
    "import importlib, json, os, pathlib, sys; "
    "file = pathlib.Path(sys.argv[1]); order = json.loads(file.read_text('utf-8')); "
    "sys.path[:] = order['path']; os.environ.update(order['environment']); "
    "from lstm_lm.training.processes.worker import main; "
    "main(order, file.parent, lambda: importlib.import_module('lstm_lm.training.train'))"
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
        run_dir: as `train`'s, like all that follow.
        count: processes, more than one.
        console: whether rank 0 prints for people, on this process's standard output.
        command: what was typed.
        started_at: `time.time()` when the user began to wait.
        resumable: whether the same call continues this run.
        record: files for the run directory.

    Raises:
        UserError, RunError, Interrupted: as `train`, from rank 0; or another process has failed, or was lost.
    """
    order = {
        "agent": os.getpid(),
        "path": sys.path,
        "environment": _environment(config["runtime"]["threads"], count),
        "console": console,
        "train": {
            "config": config,
            "run_dir": None if run_dir is None else str(run_dir),
            "command": command,
            "started_at": started_at,
            "resumable": resumable,
            "record": record,
        },
    }
    with tempfile.TemporaryDirectory(prefix="lstm-lm-") as name:
        folder = Path(name)
        (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
        sys.stdout.flush()
        end = _run(folder / "order.json", count)
        outcome = left(folder / "0")
        if isinstance(outcome, Summary):
            return outcome
        if end.signal is None:
            raise reason_of(end.failed, folder, count)
    if end.hung and console:
        print(f"{count} processes were killed: not all had ended {SECONDS_TO_END} s after the signal", file=sys.stderr)
    raise Interrupted(end.signal) if outcome is None or isinstance(outcome, join.Lost) else outcome


def reason_of(failed: Sequence[tuple[int, int]], outcomes: Path, count: int) -> BaseException:
    """Why a run of `count` processes has failed.

    Args:
        failed: rank and exit status of processes, in the order in which the launcher saw them end. It ends the others
            when it has seen one.
        outcomes: the folder in which they leave theirs.
        count: processes.
    """
    lost: BaseException | None = None
    for rank, status in failed:
        outcome = left(outcomes / str(rank))
        if isinstance(outcome, join.Lost):  # the one that it misses is still to come
            lost = lost or outcome
        elif isinstance(outcome, BaseException):
            return outcome
        else:
            how = f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"
            return RunError(
                f"process {rank} of {count}, counted from 0, {how}\n"
                "so training stopped; continue from the last checkpoint with resume=auto and this hydra.run.dir"
            )
    return lost or RunError("the processes of this run have ended, and said nothing")


def _environment(threads: int | None, count: int) -> dict[str, str]:
    """What differs from this process's: the processes share the cores, where nobody has said how many each takes."""
    if threads is None and "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(threads or max(1, torch.get_num_threads() // count))}


class _End(NamedTuple):
    """How the processes of a run have ended."""

    signal: int | None = None
    """The one that came."""
    hung: bool = False
    """Whether the launcher had to kill some after it."""
    failed: Sequence[tuple[int, int]] = ()
    """Without a signal: as for `reason_of`."""


def _run(order: Path, count: int) -> _End:
    with _quiet():
        # seconds of imports
        from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        launcher = LaunchConfig(
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
            logs_specs=DefaultLogsSpecs(str(order.parent)),
        )
        try:
            with _passing_on(order) as received:
                elastic_launch(launcher, sys.executable)("-c", _START, str(order))
        except ChildFailedError as error:
            return _End(failed=[(rank, failure.exitcode) for rank, failure in error.failures.items()])
        except SignalException as error:
            return _End(int(error.sigval), hung=len(received) == 1 and time.monotonic() > received[0] + SECONDS_TO_END)
        finally:
            _kill(order)  # those whose start a signal has interrupted, of which the launcher does not know
    return _End()


@contextmanager
def _passing_on(order: Path) -> Iterator[list[float]]:
    """The launcher passes the first signal on, and kills who has not ended in time; a second one kills all at once.

    Gives when they came, by `time.monotonic()`. Only a process's main thread hears signals.
    """
    from torch.distributed.elastic.multiprocessing import SignalException

    received: list[float] = []

    def receive(number: int, _: FrameType | None) -> None:
        received.append(time.monotonic())
        if len(received) == 1:
            raise SignalException(f"signal {number}", signal.Signals(number))
        _kill(order)

    numbers = signals_that_stop()
    if threading.current_thread() is not threading.main_thread():
        numbers = ()
    before = {number: signal.signal(number, receive) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(order: Path) -> None:
    """End, at once, the processes that were given `order`, with what is in their groups."""
    for process in psutil.Process().children():
        with contextlib.suppress(psutil.Error, ProcessLookupError):  # it has ended
            if str(order) in process.cmdline():
                if sys.platform != "win32" and hasattr(os, "killpg"):
                    os.killpg(process.pid, signal.SIGKILL)
                else:
                    process.kill()


@contextmanager
def _quiet() -> Iterator[None]:
    """The launcher logs what `reason_of` says, and leaves a variable in the environment.

    On Windows (not tried) it must be told that PyTorch has no libuv there.
    """
    logger, nowhere = logging.getLogger("torch.distributed.elastic"), logging.NullHandler()
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(nowhere)
    before = {name: os.environ.get(name) for name in ("USE_LIBUV", "TORCHELASTIC_SIGNALS_TO_HANDLE")}
    if not join.LIBUV:
        os.environ["USE_LIBUV"] = "0"
    try:
        yield
    finally:
        logger.removeHandler(nowhere)
        logger.propagate = propagate
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
