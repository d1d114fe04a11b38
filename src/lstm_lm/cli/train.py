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
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text

from lstm_lm import lifeline
from lstm_lm.cli import resolvers, same_again, study, sweep_plan
from lstm_lm.cli.hydra_app import flags_parser, only_shows, parse_flags, run_app
from lstm_lm.cli.hydra_guard import guard_process
from lstm_lm.cli.hydra_record import record_of
from lstm_lm.cli.plain_config import plain_config
from lstm_lm.cli.resolvers import key_of
from lstm_lm.cli.shell import FAILED
from lstm_lm.cli.sweep import Sweep
from lstm_lm.cli.sweep_outcome import GOOD, Job, Letterbox
from lstm_lm.cli.wording import shown
from lstm_lm.display import for_people
from lstm_lm.errors import RunError, UserError
from lstm_lm.runs.directory import RunDirectory
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
    from lstm_lm.training.processes.join import meet  # seconds of imports
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
    with nullcontext() if only_shows(argv) else for_people():
        return _run_typed(argv, program)


def _run_typed(argv: Sequence[str], program: Sequence[str]) -> int:
    if any(key_of(word) == "study" for word in argv):
        flags = parse_flags(flags_parser(), argv)
        if study.is_asked_for(flags, program):
            return study.run(flags, Terminal())
    task = TrainTask(shlex.join([*program, *argv]), program)
    sweep_plan.CURRENT.set(None)
    ended = False
    try:
        run_app("train", task, argv, program)
        ended = True
    except UserError:
        raise
    except Exception as error:  # no job's: theirs are told, and that is all
        plan = sweep_plan.CURRENT.get()
        if plan is None or plan.launcher == "basic":
            raise
        raise _of_launcher(error, plan) from error
    finally:
        plan = sweep_plan.CURRENT.get()
        if plan is not None:
            task.sweep.conclude(plan, task.attempt, ended=ended)
    return max([*task.statuses, task.sweep.exit_status()])


def _of_launcher(error: Exception, plan: sweep_plan.SweepPlan) -> RunError:
    """The short form of an error of a launcher that runs jobs in other processes."""
    cause = next(iter(str(error).splitlines()), "")
    return RunError(
        f"hydra/launcher={plan.launcher} has ended the sweep: {type(error).__name__}: {shown(cause)}\n"
        f"the same command with hydra.sweep.dir={shlex.quote(str(plan.directory))} does what is missing\n"
        "HYDRA_FULL_ERROR=1 shows where it happened"
    )


class TrainTask:
    """What Hydra calls with each configuration: in this process or, by some launchers, in others.

    A launcher pickles it; what arrives there is made anew from what was typed.
    """

    def __init__(self, command: str, program: Sequence[str]) -> None:
        self._command = command
        self._program = program
        self._elsewhere = False
        self.attempt = secrets.token_hex(4)
        """What a sweep's jobs in other processes have in common (see `Letterbox`)."""
        self._console = Terminal()
        self.sweep = Sweep(self._console, Terminal(stderr=True))
        self.statuses: list[int] = []
        """Exit status of a single run."""

    def __call__(self, config: DictConfig) -> None:
        """Train as `config` says."""
        with for_people():  # once more: in another process nobody else does
            self._run(config)

    def _run(self, config: DictConfig) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            letters = Letterbox(Path(HydraConfig.get().sweep.dir), self.attempt) if self._elsewhere else None
            _sweep_job(self.sweep, config, self._console, self._command, letters)
        else:
            goes_on = same_again.run_goes_on(config)
            summary = _train(config, _run_dir(), self._console, self._command, resumable=goes_on)
            self.statuses.append(0 if summary.status in GOOD else FAILED)

    def __getstate__(self) -> tuple[str, list[str], str, int]:
        return self._command, list(self._program), self.attempt, os.getpid()

    def __setstate__(self, state: tuple[str, list[str], str, int]) -> None:
        command, program, attempt, sweep = state
        lifeline.tie_without_pipe(sweep)  # joblib's workers; submitit's jobs may outlive who submits them
        self.__init__(command, program)  # type: ignore[misc]
        self._elsewhere, self.attempt = True, attempt
        self._console = Terminal(force_terminal=False)  # several live bars would overwrite each other
        self.sweep = Sweep(self._console, Terminal(stderr=True))
        resolvers.register(resolvers.FreshDirectories(), self._program)
        guard_process()


def _sweep_job(sweep: Sweep, config: DictConfig, console: Console, command: str, letters: Letterbox | None) -> None:
    plan = sweep_plan.CURRENT.get()  # None in other processes, which know only what the jobs' names leave out
    shared = plan.shared if plan else HydraConfig.get().job.config.override_dirname.exclude_keys
    overrides = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(overrides, list)
    telling = [line for line in map(str, overrides) if key_of(line) not in shared]
    asked = any(key_of(line) == "resume" for line in map(str, overrides))
    named = asked or config.ckpt_path is not None  # then a person says what becomes of a run that is there
    directory, beside = (_run_dir(), None) if named else same_again.job_directory(config, _run_dir())
    job = Job(
        number=int(HydraConfig.get().job.num) + 1,
        overrides=[sweep_plan.as_typed(line) for line in telling or map(str, overrides)],
        directory=directory,
        command=command,
        seed=config.seed if isinstance(config.seed, int) else None,
    )
    total = len(plan.jobs) if plan and plan.jobs else None
    # The same sweep in the same folder: what is finished is skipped, the rest goes on.
    resume = "auto" if not asked and config.resume == "never" else config.resume
    goes_on = same_again.job_goes_on(config, resume)
    if not RunDirectory(job.directory).is_empty():
        config = config.copy()
        config.resume = resume
    if beside is not None:
        console.print(Text(f"\n{beside}"), soft_wrap=True)
    sweep.run(job, total, lambda: _train(config, job.directory, console, command, resumable=goes_on), letters)


def _train(config: DictConfig, run_dir: Path, console: Console, command: str, *, resumable: bool) -> "Summary":
    from lstm_lm.training.train import train  # seconds of imports, which --help and --cfg do without

    alone = HydraConfig.get().mode == RunMode.RUN
    return train(
        plain_config(config),
        run_dir,
        console=console,
        command=command,
        started_at=psutil.Process().create_time() if alone else None,  # later jobs don't wait for the imports
        resumable=resumable,
        record=record_of(config),
    )


def _run_dir() -> Path:
    """The run directory that Hydra has made; relative where it is below the current directory, as it was typed."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    if HydraConfig.get().job.chdir:  # what is printed is for the folder where the command was typed
        return directory
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
