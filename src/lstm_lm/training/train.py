"""`train`: from a configuration to a trained model in a run directory.

The Python API; the command line is a shell over it. The training step itself is in `module.py`.
"""

import logging
import shlex
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from lstm_lm.display import never_failing
from lstm_lm.errors import Interrupted, RunError, UserError
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.footprint import Footprint
from lstm_lm.runs.lock import only_one
from lstm_lm.runs.summary import Summary, read_if_whole
from lstm_lm.runs.summary import read as read_summary
from lstm_lm.training import closing, requeue, resume
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.resume import Start
from lstm_lm.training.runtime.free_cores import with_free_cores
from lstm_lm.training.runtime.quiet import quiet_lightning
from lstm_lm.training.runtime.settings import runtime_settings
from lstm_lm.training.session import Session
from lstm_lm.training.tuning.tune import tune

log = logging.getLogger(__name__)


def train(
    config: Mapping[str, Any],
    run_dir: str | Path | None = None,
    *,
    console: Console | None = None,
    command: str | None = None,
    started_at: float | None = None,
    goes_on: bool | None = None,
) -> Summary:
    """Train a model as `config` says, and leave everything about it in `run_dir`.

    With several devices (`device=ddp`) this process leads and starts one more for each further device. Those are told
    `config` and run none of the caller's code, so this works in a script, a notebook or a test as it does on the
    command line.

    Args:
        config: a whole configuration, plain and resolved, as `lstm_lm.compose` gives it.
        run_dir: where the run lies; None: a fresh directory below `outputs/`.
        console: where a person looks on; None: nothing is printed. What it cannot print ends nothing.
        command: what was typed, for `summary.json`; None: this process's own command line.
        started_at: `time.time()` when the user began to wait; None: now.
        goes_on: whether the same call in a new process continues this run, so that a SLURM job whose time is up may be
            queued again; None: as `run_dir` and the configuration's `resume` and `ckpt_path` say.

    Returns:
        What `summary.json` holds.

    Raises:
        UserError: something in `config`, the text or the machine is not as it must be; nothing was trained, and
            `run_dir` is as it was before.
        RunError: something went wrong later that is not the program's fault: a full disk, say.
        Interrupted: a signal came; `last.ckpt` is written.
    """
    started_at = time.time() if started_at is None else started_at
    checked = TrainConfig.parse(config)
    if goes_on is None:
        top = checked.top
        goes_on = run_dir is not None and (top.ckpt_path == "last" if top.ckpt_path else top.resume != "never")
    claimed: Footprint | None = None
    if run_dir is None:
        claimed = Footprint.claimed(Path("outputs") / f"{datetime.now():%Y-%m-%d_%H-%M-%S}")
        run_dir = claimed.run.path
    directory = Path(run_dir)
    with only_one(directory), never_failing(console):
        footprint = claimed or Footprint(RunDirectory(directory))  # taken only now: nobody else writes there
        try:
            start = resume.plan(config, directory)
        except UserError:
            footprint.erase()  # the directory that was claimed
            raise
        if start.complete:
            if console is not None:
                console.print(Text(f"{directory}: {start.said}"), soft_wrap=True)
            elif start.said != resume.COMPLETE:
                log.warning("%s: %s", directory, start.said)
            return read_summary(footprint.run.summary)
        if start.checkpoint is None and checked.top.resume != "never" and console is not None:
            console.print(f"nothing to resume in {directory}: this run starts anew", highlight=False)
        return _run(checked, footprint, start, console, command or shlex.join(sys.argv), started_at, goes_on)


def _run(
    config: TrainConfig,
    footprint: Footprint,
    start: Start,
    console: Console | None,
    command: str,
    started_at: float,
    goes_on: bool,
) -> Summary:
    """Do it. Whatever ends it before its first step leaves everything as it was."""
    run = footprint.run
    summary: Summary | None = None
    session: Session | None = None
    try:
        run.create()
        summary = _begin(command, config.top.seed, run, start)
        with _settings(config):
            config = with_free_cores(tune(config, start.checkpoint, run, console), start.checkpoint)
        session = Session(config, run, start, summary, console, started_at)
        with _settings(config):
            session.run()
    except BaseException as error:
        trained = session is not None and session.clock.first_step_at is not None
        stepped = session is not None and session.clock.stepped  # a first step may break off while it is compiled
        interrupted = isinstance(error, (Interrupted, KeyboardInterrupt))
        refused = isinstance(error, UserError) and not isinstance(error, RunError)
        if (refused and not trained) or (interrupted and not stepped):
            footprint.erase()
        elif summary is not None:
            _end_badly(summary, run, error)
        if interrupted and console is not None:
            closing.show_interrupted(summary if stepped else None, run, console)
        if requeue.is_asked_for(error):
            told = requeue.requeue(goes_on=goes_on)
            if console is not None:
                console.print(told, highlight=False)
        if refused and trained:
            raise RunError(str(error)) from error
        raise
    return summary


@contextmanager
def _settings(config: TrainConfig) -> Iterator[None]:
    with runtime_settings(config.runtime), quiet_lightning():
        yield


def _begin(command: str, seed: int, run: RunDirectory, start: Start) -> Summary:
    """The summary of a run that begins; one that continues has what it had reached."""
    summary = Summary.begin(command, seed)
    before = None if start.checkpoint is None else read_if_whole(run.summary)
    if before is not None:
        summary.train, summary.val, summary.test = before.train, before.val, before.test
    summary.write(run.summary)
    return summary


def _end_badly(summary: Summary, run: RunDirectory, error: BaseException) -> None:
    """Leave a summary that says so; a full disk may not even allow that."""
    if isinstance(error, (Interrupted, KeyboardInterrupt)):
        summary.status = "interrupted"
        summary.reason = str(error) or "interrupted"
    elif isinstance(error, SystemExit):  # submitit's answer to a pre-emption
        summary.status = "interrupted"
        summary.reason = f"told to exit with status {error.code}"
    else:
        summary.status = "failed"
        summary.reason = str(error) or type(error).__name__
    try:
        summary.write(run.summary)
    except UserError:
        if isinstance(error, Exception):
            error.add_note(f"{run.summary} could not be written either")
