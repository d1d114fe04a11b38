"""A run, from a configuration to a trained model in a run directory.

`train` is the Python API, and what rank 0 does, or the only process; the command line is a shell over it. `run_worker`
is what ranks 1, 2, ... do, and `_run` what all do together.
"""

import pickle
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import Callback
from lightning.pytorch.loggers import Logger
from rich.console import Console

from lstm_lm.display import never_failing
from lstm_lm.errors import Interrupted, RunError, UserError
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.lock import hold_run
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.runs.summary import Summary, read, read_if_whole
from lstm_lm.runs.writer import RunWriter
from lstm_lm.shell_words import short_path
from lstm_lm.terminal import Terminal, in_notebook, say_whole
from lstm_lm.training import requeue
from lstm_lm.training.build import build_compiled
from lstm_lm.training.closing import show_interrupted, show_results
from lstm_lm.training.compile.compilation import Compilation
from lstm_lm.training.compile.watch import CompileWatch
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.console import say_complete, show_plan, warn
from lstm_lm.training.control import Control, RunCheckpointIO
from lstm_lm.training.loggers import listening, refuse_missing
from lstm_lm.training.observers.clock import StepClock
from lstm_lm.training.observers.metrics import Metrics
from lstm_lm.training.observers.samples import final_sample
from lstm_lm.training.others import NOBODY, Others
from lstm_lm.training.plan import Complete, Plan
from lstm_lm.training.processes.join import join
from lstm_lm.training.processes.launch import launch, launches
from lstm_lm.training.processes.team import Team
from lstm_lm.training.results import Results, describe
from lstm_lm.training.runtime import memory_advice
from lstm_lm.training.runtime.free_cores import with_free_cores
from lstm_lm.training.runtime.settings import runtime_settings
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.trainer import fit, make_callbacks, make_trainer, stopped_by, test, validate_the_end
from lstm_lm.training.tuning.tune import tune


def train(
    config: Mapping[str, Any],
    run_dir: str | Path | None = None,
    *,
    console: Console | Literal["auto"] | None = "auto",
    command: str | None = None,
    started_at: float | None = None,
    resumable: bool | None = None,
    record: Mapping[str, str] | None = None,
    free_cores: float | None = None,
    loggers: Sequence[Logger] = (),
    callbacks: Sequence[Callback] = (),
) -> Summary:
    """Train a model as `config` says, and leave everything about it in `run_dir`.

    With several devices (`device=ddp`) this process starts one for each, and waits for them. Those are given `config`
    and run none of the caller's code, so this works in a script, a notebook or a test as it does on the command line.

    Args:
        config: a whole configuration, plain and resolved, as `lstm_lm.compose` gives it.
        run_dir: where the run lies; None: a fresh directory below `outputs/`.
        console: where a person looks on; auto: a notebook's cell, and elsewhere nothing is printed; None: nothing is
            printed anywhere. What it cannot print ends nothing.
        command: what was typed, for `summary.json`; None: this process's own command line.
        started_at: `time.time()` when the user began to wait; None: now.
        resumable: whether the same call in a new process resumes this run, so that a SLURM job whose time is up may be
            queued again; None: as `run_dir` and the configuration's `resume` and `ckpt_path` say.
        record: files for `.hydra/`, the content by the name.
        free_cores: how many no other process keeps busy, where somebody has just looked (`CoreWatch`).
        loggers: of Lightning's: each is given all that `metrics.csv` is, by the same names and steps.
        callbacks: Lightning's or your own, called before a step's checkpoint; they find every metric in
            `trainer.callback_metrics`. What one raises ends the run as failed; `last.ckpt` stays as it was.

    Returns:
        What `summary.json` holds.

    Raises:
        UserError: something in `config`, the text or the machine is not as it must be; nothing was trained, and
            `run_dir` is as it was before.
        RunError: something went wrong later that is not the program's fault: a full disk, say.
        Interrupted: a signal came; `last.ckpt` is written.
    """
    started_at, command = started_at or time.time(), command or shlex.join(sys.argv)
    if isinstance(console, str):
        console = Terminal() if in_notebook() else None
    asked = TrainConfig.parse(config)
    top = asked.top
    if resumable is None:
        resumable = run_dir is not None and (top.ckpt_path == "last" if top.ckpt_path else top.resume != "never")
    refuse_missing(asked.logger)
    others = Others(tuple(loggers), tuple(callbacks))
    count = launches(asked.trainer)
    if count is not None:
        others.check(RunDirectory(Path(run_dir or ".")), count)
        return launch(
            config,
            run_dir,
            count,
            console=console is not None,
            command=command,
            started_at=started_at,
            resumable=resumable,
            record=record,
        )
    with join(asked.trainer) as team, never_failing(console), hold_run(run_dir) as run:
        others.check(run, team.size)
        plan = Plan.read(asked, run, others.may_have_ended)
        if isinstance(plan, Complete):
            team.send(b"")
            say_complete(console, run, plan)
            return read(run.summary)
        if plan.checkpoint is None and top.resume != "never" and console is not None:
            say_whole(console, "", short_path(run.path), "nothing to resume: this run starts from scratch", width=0)
        plan = others.resume(plan)
        others.settle(run, validates=asked.trainer.get("limit_val_batches") != 0)
        summary = Summary.begin(command, top.seed)
        if plan.checkpoint is not None and (before := read_if_whole(run.summary)) is not None:
            summary.train, summary.val, summary.test = before.train, before.val, before.test
            summary.loggers = before.loggers
        writer = RunWriter(
            run,
            summary,
            tensorboard=asked.logger.tensorboard,
            keep=asked.callbacks.checkpoint.keep,
            resumed=plan.resumed,
            record=record or {},
            warn=partial(warn, console),
        )
        with _recording_the_end(writer, console, resumable=resumable):
            _run(plan, team, writer, console, started_at, free_cores, others)
    return summary


def run_worker() -> None:
    """Join the others, receive the plan, and do what rank 0 does; writes nothing.

    Raises:
        Interrupted: a signal came, as rank 0 says.
    """
    with join(None) as team:
        sent = team.send(None)
        if sent:  # else there is nothing to do
            plan = pickle.loads(sent)
            del sent  # all of a checkpoint may be in it
            _run(plan, team, NoWriter(), None, time.time())


def _run(
    plan: Plan,
    team: Team,
    writer: NoWriter,
    console: Console | None,
    started_at: float,
    free_cores: float | None = None,
    others: Others = NOBODY,
) -> None:
    """All of a run, in all its processes in the same order: whatever others wait for, each must do."""
    with StopSignals(team.rank, console) as signals:
        if team.rank == 0:
            with runtime_settings(plan.config.runtime):
                tuned = tune(plan, team, console, signals, started_at, free_cores)
                plan = with_free_cores(tuned, team, free_cores if tuned is plan else None)  # tuning takes its time
            if team.size > 1:
                team.send(pickle.dumps(plan))
        config = plan.config
        with (
            runtime_settings(config.runtime),
            Compilation(config.compile) as compilation,
            closing(build_compiled(plan, team)) as parts,
            listening(config.logger, plan.run.path, writer, rank=team.rank) as services,
        ):
            signals.compilation = compilation
            describe(writer.summary, plan, parts)
            if console is not None:
                with console:  # a notebook shows what is printed in here as one output
                    show_plan(console, plan, parts, writer.summary.runtime.warnings or [])
            clock = StepClock()
            metrics = Metrics(config, parts, writer, clock)
            watch = CompileWatch(compilation, writer, console) if compilation.enabled else None
            control = Control(plan, writer, signals, team)
            if parts.task.nonfinite is not None:
                parts.task.nonfinite.checkpoint = control.newest
                parts.task.nonfinite.notify = writer.notify_at
            results = Results(plan, parts, writer, control, clock, metrics, watch, started_at)
            callbacks = make_callbacks(results, console, others.callbacks)
            io = RunCheckpointIO(writer, plan.run.path, plan.checkpoint)
            trainer = make_trainer(plan, parts, callbacks, io, [*services, *others.loggers])
            results.before()
            control.stop_if_agreed()
            with memory_advice.instead_of_a_traceback(trainer, parts):
                try:
                    fit(trainer, parts, plan)
                finally:
                    results.training(trainer)
                validate_the_end(trainer, parts)
                writer.begin()  # a run that is resumed at its end takes no step
                control.stop_if_agreed()
                hints = results.hints()
                control.take_best(parts.task)
                results.validation()
                results.test(test(trainer, parts))
                sample = final_sample(trainer, plan, parts, writer)
            control.refuse_unsaved()
            results.outcome()
            results.judge()
            cause = stopped_by(trainer)
            writer.end("stopped" if cause else "completed", cause)
            if console is not None:
                weights = "the last step" if control.best is None else "the best checkpoint"
                with console:
                    show_results(
                        console,
                        writer.summary,
                        plan.run,
                        sample,
                        weights,
                        [*hints, *results.partly_scored()],
                        data=parts.data,
                    )


@contextmanager
def _recording_the_end(writer: RunWriter, console: Console | None, *, resumable: bool) -> Iterator[None]:
    """Whatever ends a run is in its summary. What ends it before it has begun leaves all as it was, but for a failure.

    That is recorded in a directory that holds no other run.
    """
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error, (Interrupted, KeyboardInterrupt))
        refused = isinstance(error, UserError) and not isinstance(error, RunError)
        try:
            if interrupted or isinstance(error, SystemExit):  # SystemExit: submitit's answer to a pre-emption
                writer.end("interrupted", str(error) or "interrupted")
            elif refused and not writer.begun:
                writer.leave()
            else:
                writer.end("failed", str(error) or type(error).__name__)
        except RunError:  # a full disk may not even allow that
            error.add_note(f"{writer.run.summary} could not be written either")
        if interrupted and console is not None:
            with console:
                show_interrupted(console, writer.summary if writer.begun else None, writer.run)
        if requeue.is_asked_for(error):
            answer = requeue.requeue(resumable=resumable)
            if console is not None:
                console.print(answer, highlight=False)
        if refused and writer.begun:
            raise RunError(str(error)) from error
        raise
