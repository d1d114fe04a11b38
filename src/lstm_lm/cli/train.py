"""`train`: one run, or with -m a sweep of them."""

import os
import secrets
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from lstm_lm import lifeline
from lstm_lm.cli import same_again, study, sweep_plan
from lstm_lm.cli.hydra import resolvers
from lstm_lm.cli.hydra.app import config_flags, flags_parser, only_shows, parse_flags, run_app
from lstm_lm.cli.hydra.guard import guard_process
from lstm_lm.cli.hydra.kept_keys import job_config
from lstm_lm.cli.hydra.resolvers import key_of
from lstm_lm.cli.hydra_record import record_of
from lstm_lm.cli.shell import FAILED
from lstm_lm.cli.sweep_job import run_job
from lstm_lm.cli.sweep_lines import SweepLines
from lstm_lm.core_watch import CoreWatch
from lstm_lm.display import for_people
from lstm_lm.errors import RunError, UserError
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.printable import shown
from lstm_lm.terminal import Terminal

if TYPE_CHECKING:
    from lstm_lm.runs.summary import Summary

STARTED_WITH_OTHERS = ("TORCHELASTIC_RUN_ID", "SLURM_STEP_ID")
"""Environment variables of processes that torchrun and srun have started (see `training.processes`)."""


def run(argv: Sequence[str], program: Sequence[str]) -> int:
    """Do what `argv` says; gives the exit status.

    Args:
        argv: overrides and flags.
        program: what was typed before them, `["python", "train.py"]` say.

    Raises:
        UserError: something is not as it must be.
        Interrupted: a signal came; what there was to save is saved.
    """
    if not any(name in os.environ for name in STARTED_WITH_OTHERS):
        return _run(argv, program)
    with heavy_imports():
        from lstm_lm.training.processes.join import meet
        from lstm_lm.training.processes.started import started
        from lstm_lm.training.train import run_worker

    process = started()
    if process is None:
        return _run(argv, program)
    if {"-m", "--multirun"} & set(argv):
        raise UserError(f"-m: {process.size} processes were started for one sweep; start one, or leave -m out")
    with meet():  # before anything can fail: the others wait there
        if process.rank == 0:
            return _run(argv, program)
        run_worker()
    return 0


def _run(argv: Sequence[str], program: Sequence[str]) -> int:
    # Results are in the run directory, so all that training prints is for people; a configuration is for whoever asked.
    with nullcontext() if only_shows(argv, "train") else for_people():
        return _run_typed(argv, program)


def _run_typed(argv: Sequence[str], program: Sequence[str]) -> int:
    if any(key_of(word) == "study" for word in argv):
        flags = parse_flags(flags_parser(), argv, "train")
        if study.is_asked_for(flags, program):
            return study.run(flags, Terminal())
    task = TrainTask(argv, program)
    sweep_plan.CURRENT.set(None)
    ended, status = False, 0
    try:
        run_app("train", task, argv, program)
        ended = True
    except UserError:
        raise
    except Exception as error:  # no job's: those are recorded, and that is all
        plan = sweep_plan.CURRENT.get()
        if plan is None or plan.launcher == "basic":
            raise
        raise _of_launcher(error, plan.launcher) from error
    finally:
        plan = sweep_plan.CURRENT.get()
        if plan is not None:
            status = task.lines.conclude(plan, task.attempt, ended=ended)
    return max([*task.statuses, status])


def _of_launcher(error: Exception, launcher: str) -> RunError:
    """The short form of an error of a launcher that runs jobs in other processes."""
    cause = next(iter(str(error).splitlines()), "")
    return RunError(
        f"hydra/launcher={launcher} has ended the sweep: {type(error).__name__}: {shown(cause)}\n"
        "HYDRA_FULL_ERROR=1 shows where it happened"
    )


class TrainTask:
    """What Hydra calls with each configuration: in this process or, by some launchers, in others.

    It trains the configuration of a single run; a sweep's jobs it has trained, each in a process of its own. A launcher
    pickles it; what arrives there is made again from what was typed.
    """

    def __init__(self, argv: Sequence[str], program: Sequence[str]) -> None:
        self._argv, self._program = list(argv), list(program)
        self.attempt = secrets.token_hex(4)
        """What the records of a sweep's jobs have in common, whichever process writes them."""
        self.lines = SweepLines(Terminal(), Terminal(stderr=True))
        self.statuses: list[int] = []
        """Exit status of a single run."""

    def __call__(self, config: DictConfig) -> None:
        """Train as `config` says."""
        with for_people():  # once more: in another process nobody else does
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                run_job(config, _run_dir(), self.attempt, config_flags(self._argv, "train"), self.lines)
                return
            command = shlex.join([*self._program, *self._argv])
            resumable = same_again.run_is_resumable(config)
            summary = _train(config, _run_dir(), Terminal(), command, resumable=resumable)
            self.statuses.append(0 if summary.ended_well else FAILED)

    def __getstate__(self) -> tuple[list[str], list[str], str, int]:
        return self._argv, self._program, self.attempt, os.getpid()

    def __setstate__(self, state: tuple[list[str], list[str], str, int]) -> None:
        argv, program, attempt, sweep = state
        lifeline.tie_without_pipe(sweep)  # joblib's workers; submitit's jobs may outlive who submits them
        os.environ["TERM"] = "dumb"  # several live bars would overwrite each other
        self.__init__(argv, program)  # type: ignore[misc]
        self.attempt = attempt
        resolvers.register(resolvers.FreshDirectories())
        guard_process()


def _train(config: DictConfig, run_dir: Path, console: Console, command: str, *, resumable: bool) -> "Summary":
    watch = CoreWatch()
    with heavy_imports():  # which --cfg does without
        from lstm_lm.training.train import train

    return train(
        job_config(config),
        run_dir,
        console=console,
        command=command,
        started_at=psutil.Process().create_time(),
        resumable=resumable,
        record=record_of(config),
        free_cores=watch.free(),
    )


def _run_dir() -> Path:
    """The run directory that Hydra has made; relative where it is below the current directory, as it was typed."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    if HydraConfig.get().job.chdir:  # what is printed is for the folder where the command was typed
        return directory
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
