"""A process that `launch` has started: it does its part, and leaves how that ended for the process that launched it."""

import os
import pickle
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any

from lstm_lm import lifeline
from lstm_lm.display import for_people, standard_streams
from lstm_lm.errors import Interrupted
from lstm_lm.runs.summary import Summary
from lstm_lm.stop_signals import closed_terminal, stop_signals
from lstm_lm.training import requeue
from lstm_lm.training.processes.started import started

Outcome = Summary | BaseException | None
"""What a process has returned or raised; None: nothing, as all but rank 0 do."""


class TracebackOfWorker(Exception):
    """The traceback of an error in another process, as text."""

    def __str__(self) -> str:
        """Below the line with its name, as a traceback stands on its own."""
        return f"\n{self.args[0]}"


def main(order: dict[str, Any], outcomes: Path) -> None:
    """Do what `order` says (see `launch`); leave the outcome in the folder `outcomes`, and exit."""
    _end_with(order["agent"])
    process = started()
    assert process is not None
    outcome: Outcome = None
    status = 0
    with standard_streams(), for_people():
        try:
            _listen(process.rank)
            outcome = _work(order, process.rank)
        except BaseException as error:
            outcome = error
            status = getattr(error, "exit_status", 1)
        leave(outcome, outcomes / str(process.rank))
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # at once: so the others see by its connections that it is gone


def _work(order: dict[str, Any], rank: int) -> Summary | None:
    from lstm_lm.training import train  # seconds of imports, in which a signal is heard already
    from lstm_lm.training.processes.join import meet

    with meet():
        if rank:
            train.run_worker()
            return None
        from lstm_lm.terminal import Terminal

        return train.train(console=Terminal() if order["console"] else None, **order["train"])


def leave(outcome: Outcome, path: Path) -> None:
    """Write `outcome` to `path`; an error with its traceback as its cause, for tracebacks don't travel."""
    if isinstance(outcome, BaseException):
        outcome.__cause__ = TracebackOfWorker("".join(traceback.format_exception(outcome)))
        outcome = outcome.with_traceback(None)
        try:
            written = pickle.dumps((outcome, outcome.__cause__))
            pickle.loads(written)  # which not every class of errors can
        except Exception:
            written = pickle.dumps((RuntimeError(f"{type(outcome).__name__}: {outcome}"), outcome.__cause__))
    else:
        written = pickle.dumps((outcome, None))
    path.write_bytes(written)


def left(path: Path) -> tuple[bool, Outcome]:
    """Whether a process has left its outcome at `path`, and which."""
    try:
        outcome, cause = pickle.loads(path.read_bytes())
    except (OSError, EOFError, pickle.UnpicklingError):  # it was killed, before or meanwhile
        return False, None
    if isinstance(outcome, BaseException):
        outcome.__cause__ = cause
    return True, outcome


def _end_with(agent: int) -> None:
    """However the process ends that started this one, SIGKILL included."""
    if os.name == "posix" and os.getppid() != agent:  # it has ended already
        os._exit(1)
    lifeline.tie_without_pipe(agent)


def _listen(rank: int) -> None:
    """Before and after a run, which has its own way: rank 0 tidies up, the others end at once."""

    def stop(number: int, _: FrameType | None) -> None:
        if sys.exc_info()[0] is None:  # else this process is ending already, and the agent ends all after one
            raise Interrupted(number)

    warning = requeue.warning_signal()
    for number in (*stop_signals(), *closed_terminal(), *(() if warning is None else (warning,))):
        signal.signal(number, signal.SIG_DFL if rank else stop)
