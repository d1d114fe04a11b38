"""`train`: one run, or with -m a sweep of them."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from lstm_lm.cli import study, sweep_plan
from lstm_lm.cli.hydra_app import parse_flags, run_app
from lstm_lm.cli.hydra_record import write_record
from lstm_lm.cli.plain_config import plain_config
from lstm_lm.cli.resolvers import key_of
from lstm_lm.cli.shell import FAILED
from lstm_lm.cli.sweep import GOOD, Job, Sweep
from lstm_lm.runs.lock import only_one

if TYPE_CHECKING:
    from lstm_lm.runs.summary import Summary


def run(argv: Sequence[str], program: Sequence[str]) -> int:
    """Do what `argv` says; gives the exit status.

    Args:
        argv: overrides and flags.
        program: what was typed before them, `["python", "train.py"]` say.

    Raises:
        UserError: something is not as it must be.
        Interrupted: a signal came; what there was to save is saved.
    """
    command = shlex.join([*program, *argv])
    console = Console(highlight=False)
    if any(key_of(word) == "study" for word in argv):
        flags = parse_flags(get_args_parser(), argv)
        if study.is_asked_for(flags, program):
            return study.run(flags, console)
    sweep = Sweep(console, Console(stderr=True, highlight=False))
    statuses: list[int] = []
    sweep_plan.CURRENT.set(None)

    def task(config: DictConfig) -> None:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            _sweep_job(sweep, config, console, command)
        else:
            summary = _train(config, _run_dir(), console, command)
            statuses.append(0 if summary.status in GOOD else FAILED)

    try:
        run_app("train", task, argv, program)
    finally:
        sweep.conclude()
    return max([*statuses, sweep.exit_status()])


def _sweep_job(sweep: Sweep, config: DictConfig, console: Console, command: str) -> None:
    plan = sweep_plan.CURRENT.get()
    overrides = OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False)
    assert isinstance(overrides, list)
    telling = [line for line in map(str, overrides) if plan is None or key_of(line) not in plan.shared]
    job = Job(
        number=int(HydraConfig.get().job.num) + 1,
        overrides=[sweep_plan.as_typed(line) for line in telling or map(str, overrides)],
        directory=_run_dir(),
        command=command,
        seed=config.seed if isinstance(config.seed, int) else None,
    )
    total = len(plan.jobs) if plan else None
    sweep.run(job, total, lambda: _checked_train(config, job.directory, console, command))


def _checked_train(config: DictConfig, run_dir: Path, console: Console, command: str) -> "Summary":
    """A sweep's job: checked here, where one that is refused does not hold up the others."""
    from lstm_lm.training.config import TrainConfig
    from lstm_lm.training.resume import refuse_early

    plain = plain_config(config)
    TrainConfig.parse(plain)
    refuse_early(plain, run_dir)
    return _train(config, run_dir, console, command)


def _train(config: DictConfig, run_dir: Path, console: Console, command: str) -> "Summary":
    from lstm_lm.training.resume import refuse_early
    from lstm_lm.training.train import train  # seconds of imports, which --help and --cfg do without

    plain: dict[str, Any] = plain_config(config)
    alone = HydraConfig.get().mode == RunMode.RUN
    began = psutil.Process().create_time() if alone else None  # a sweep's later jobs don't wait for the imports
    with only_one(run_dir):
        refuse_early(plain, run_dir)  # once more: another process may have been faster
        write_record(config, run_dir)
        return train(plain, run_dir, console=console, command=command, started_at=began)


def _run_dir() -> Path:
    """The run directory that Hydra has made; relative where it is below the current directory, as it was typed."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    return directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
