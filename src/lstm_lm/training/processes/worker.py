"""A process that `launch` has started: it does its part, and leaves how that ended for the process that launched it."""

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from lstm_lm import lifeline
from lstm_lm.display import for_people, standard_streams
from lstm_lm.errors import Interrupted
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.runs.summary import Summary
from lstm_lm.stop_signals import signals_that_stop
from lstm_lm.training.processes.started import started

Outcome = Summary | BaseException | None
"""What rank 0 has returned, or any process has raised."""


class TracebackOfWorker(Exception):
    """The traceback of an error in another process, as text: it stands as the error's cause."""


def main(order: dict[str, Any], outcomes: Path, training: Callable[[], Any]) -> None:
    """Do what `order` says (`launch` writes it); leave the outcome in the folder `outcomes`, and exit.

    `training` imports train.py, which takes seconds, in which a signal is heard already; and which imports `launch`.
    """
    if os.name == "posix" and os.getppid() != order["agent"]:  # which has ended already
        os._exit(1)
    lifeline.tie_without_pipe(order["agent"])
    process = started()
    assert process is not None
    if process.rank:
        _write_as_errors()
    status = 0
    with standard_streams(), for_people():
        try:
            _listen(process.rank)
            outcome: Outcome = _work(order, process.rank, training)
            _listen_no_more(process.rank)
        except BaseException as error:
            _listen_no_more(process.rank)
            outcome, status = error, getattr(error, "exit_status", 1)
        leave(outcome, outcomes / str(process.rank))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # at once: so the others see by its connections that it is gone


def _write_as_errors() -> None:
    """Have standard output go where errors do: what is there is rank 0's.

    Python's own stream remembers that it was a file, say, and could not be used for what errors go to, a terminal.
    """
    os.dup2(2, 1)
    sys.stdout = sys.stderr


def _work(order: dict[str, Any], rank: int, training: Callable[[], Any]) -> Summary | None:
    with heavy_imports():
        from lstm_lm.terminal import Terminal
        from lstm_lm.training.processes.join import meet

        run = training()
    with meet():
        if rank == 0:
            summary: Summary = run.train(console=Terminal() if order["console"] else None, **order["train"])
            return summary
        run.run_worker()
    return None


def _listen(rank: int) -> None:
    """Before and after a run, which has its own way with signals, rank 0 tidies up, and the others end at once."""

    def stop(number: int, _: FrameType | None) -> None:
        if sys.exc_info()[0] is None:  # else it is ending already: when one process ends, the agent signals the others
            raise Interrupted(number)

    for number in signals_that_stop():
        signal.signal(number, signal.SIG_DFL if rank else stop)


def _listen_no_more(rank: int) -> None:
    """Rank 0 knows how it ended: the agent's signal, now that another has ended, must not keep it from leaving that."""
    if rank == 0:
        for number in signals_that_stop():
            signal.signal(number, signal.SIG_IGN)


def leave(outcome: Outcome, path: Path) -> None:
    """Write `outcome` to `path`; a class of errors that does not pickle becomes a RuntimeError."""
    told = None
    if isinstance(outcome, BaseException):
        told = TracebackOfWorker("\n" + "".join(traceback.format_exception(outcome)))
        try:
            pickle.loads(pickle.dumps(outcome))
        except Exception:
            outcome = RuntimeError(f"{type(outcome).__name__}: {outcome}")
    path.write_bytes(pickle.dumps((outcome, told)))


def left(path: Path) -> Outcome:
    """What a process has left at `path`; None: nothing, for it was killed."""
    try:
        outcome, told = pickle.loads(path.read_bytes())
    except (OSError, EOFError, pickle.UnpicklingError):
        return None
    if isinstance(outcome, BaseException):
        outcome.__cause__ = told
    return outcome  # type: ignore[no-any-return]
