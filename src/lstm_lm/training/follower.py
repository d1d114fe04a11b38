"""A process that trains along: it computes what the leader computes, on its own streams, and leaves nothing."""

import json
import logging
import os
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstm_lm import lifeline
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training import distributed, together
from lstm_lm.training.callbacks.compile_watch import CompileWatch
from lstm_lm.training.callbacks.signals import StopOnSignal
from lstm_lm.training.compilation import Compilation
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.distributed import Team, loss_of_another
from lstm_lm.training.followers import READY
from lstm_lm.training.runtime.quiet import quiet_lightning
from lstm_lm.training.runtime.settings import runtime_settings

SECONDS_OF_SILENCE = 3.0
"""When all fail for one reason, the leader tells it, and ends the others before they would."""


def main() -> None:
    """Wait for the leader's order, on standard input, and do it; without one there is nothing to do."""
    order = _read_order()
    if order is None:
        return
    lifeline.tie(0)  # nothing more comes on standard input but its end, with the leader's
    answers = os.dup(1)
    os.dup2(2, 1)  # the leader's terminal is not this process's to write to, but for errors
    team = Team(order["rank"], order["size"])
    status = train_along(
        order, team, lambda: os.write(answers, READY), lambda: distributed.meeting_place(team, order["port"])
    )
    os._exit(status)  # at once: so the others see by its connections that it is gone


def train_along(
    order: dict[str, Any], team: Team, ready: Callable[[], object], meeting_place: Callable[[], Any]
) -> int:
    """Do what the leader does, and tell of an error that the leader does not; gives the exit status.

    Args:
        order: `config`, `run_dir` and `checkpoint` (or None).
        team: all of them, seen from this process.
        ready: tells the leader that everything is built.
        meeting_place: gives the store at which all meet.
    """
    warnings.simplefilter("ignore")  # the leader shows the same ones
    logging.getLogger("lstm_lm").setLevel(logging.ERROR)  # and says the same of the text
    try:
        follow(order, team, ready, meeting_place)
        status = 0
    except Interrupted as stop:
        status = stop.exit_status
    except BaseException as error:
        time.sleep(SECONDS_OF_SILENCE)
        loss = loss_of_another(error)
        if loss is not None:  # that one has failed, or was stopped, and says so itself
            print(f"process {team.rank}: another process has ended, or cannot be reached ({loss})", file=sys.stderr)
        elif isinstance(error, UserError):
            print(f"process {team.rank}: {error}", file=sys.stderr)
        else:
            traceback.print_exception(error)
        status = 1
    sys.stderr.flush()
    return status


def follow(order: dict[str, Any], team: Team, ready: Callable[[], object], meeting_place: Callable[[], Any]) -> None:
    """Train along; arguments as for `train_along`."""
    config = TrainConfig.parse(order["config"])
    checkpoint = None if order["checkpoint"] is None else Path(order["checkpoint"])
    run = RunDirectory(Path(order["run_dir"]))
    checkpoints = together.make_checkpoints(config, run, team, checkpoint)
    with (
        runtime_settings(config.runtime),
        quiet_lightning(),
        Compilation(config.compile) as compilation,
        StopOnSignal(checkpoints, team, compilation) as signals,
    ):
        parts = together.prepare(config, checkpoint, team)
        watch = [CompileWatch(compilation)] if compilation.enabled else []
        trainer = together.make_trainer(config, parts, run, checkpoints, signals, first=watch)
        ready()
        team.connect(meeting_place(), parts.hardware.device)
        together.fit(trainer, parts, checkpoint)
        together.validate_the_end(trainer, parts)
        together.take_best(parts, run, checkpoints)
        together.test(trainer, parts)
        team.disconnect()


def _read_order() -> dict[str, Any] | None:
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(0, 2**16)
        if not read:
            return None
        line += read
    order: dict[str, Any] = json.loads(line)
    return order
