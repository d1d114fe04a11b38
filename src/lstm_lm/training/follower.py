"""A process that trains along: it computes what the leader computes, on its own streams, and leaves nothing."""

import json
import os
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

from lstm_lm.errors import Interrupted, RunError, UserError
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training import together
from lstm_lm.training.callbacks.compile_watch import CompileWatch
from lstm_lm.training.callbacks.signals import StopOnSignal
from lstm_lm.training.compilation import Compilation
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.distributed import Team, meeting_place
from lstm_lm.training.followers import READY
from lstm_lm.training.quiet import quiet_lightning
from lstm_lm.training.runtime import runtime_settings

SECONDS_OF_SILENCE = 3.0
"""When all fail for one reason, the leader tells it, and ends the others before they would."""


def main() -> None:
    """Wait for the leader's order, on standard input, and do it; without one there is nothing to do."""
    order = _read_order()
    if order is None:
        return
    threading.Thread(target=_end_with_the_leader, daemon=True).start()
    answers = os.dup(1)
    os.dup2(2, 1)  # the leader's terminal is not this process's to write to, but for errors
    warnings.simplefilter("ignore")  # the leader shows the same ones
    try:
        follow(order, answers)
        status = 0
    except Interrupted as stop:
        status = stop.exit_status
    except BaseException as error:
        time.sleep(SECONDS_OF_SILENCE)
        if isinstance(error, (UserError, RunError)):
            print(f"process {order['rank']}: {error}", file=sys.stderr)
        else:
            traceback.print_exception(error)
        status = 1
    sys.stderr.flush()
    os._exit(status)  # at once: so the others see by its connections that it is gone


def follow(order: dict[str, Any], answers: int) -> None:
    """Train along.

    Args:
        order: `config`, `run_dir`, `checkpoint` (or None), `rank`, `size`, and the leader's `port`.
        answers: the file descriptor that the leader hears READY from.
    """
    config = TrainConfig.parse(order["config"])
    team = Team(order["rank"], order["size"])
    checkpoint = None if order["checkpoint"] is None else Path(order["checkpoint"])
    run = RunDirectory(Path(order["run_dir"]))
    checkpoints = together.make_checkpoints(config, run, team, resumed=checkpoint is not None)
    with (
        runtime_settings(config.runtime),
        quiet_lightning(),
        Compilation(config.compile) as compilation,
        StopOnSignal(checkpoints, team, compilation) as signals,
    ):
        parts = together.prepare(config, checkpoint, team)
        watch = [CompileWatch(compilation)] if compilation.enabled else []
        trainer = together.make_trainer(config, parts, run, checkpoints, signals, first=watch)
        os.write(answers, READY)
        team.connect(meeting_place(team, order["port"]), parts.hardware.device)
        together.fit(trainer, parts, checkpoint)
        together.validate_the_end(trainer, parts)
        together.take_best(trainer, parts, run, checkpoints)
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


def _end_with_the_leader() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
