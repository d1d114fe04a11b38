"""The same command, given once more: whether it goes on with what it has left, and what a sweep's folder has of it.

SLURM is asked for the former (`requeue`).
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lstm_lm.cli.plain_config import plain_config
from lstm_lm.cli.resolvers import key_of
from lstm_lm.errors import UserError
from lstm_lm.runs.directory import RunDirectory

_ANOTHER_EACH_TIME = ("${now:", "${fresh_dir:")


def run_goes_on(config: DictConfig) -> bool:
    """Whether a single run does."""
    return _finds_it_again("hydra.run.dir", _hydras_overrides()) and _continues(config, config.resume)


def job_goes_on(config: DictConfig, resume: str) -> bool:
    """Whether a sweep's job does; `resume` is what it is run with where its directory holds a run already."""
    ours = 1  # the last: the directory itself, which `RefuseEarly` has added for the jobs
    lines = [line for line in _hydras_overrides() if key_of(line) == "hydra.sweep.dir"]
    return _finds_it_again("hydra.sweep.dir", lines[:-ours]) and _continues(config, resume)


def job_directory(config: DictConfig, named: Path) -> tuple[Path, str | None]:
    """Where a sweep's job runs, and what is to be said about it: `named`, or the first beside it without another run.

    A job's name holds only what tells it from the other jobs, so the directory of that name may hold the run of another
    text, of a setting that all jobs had then, or of other code. Its results are kept, and are not this job's.
    """
    from lstm_lm.training.config import TrainConfig  # seconds of imports
    from lstm_lm.training.resume import another_run, shown

    if RunDirectory(named).is_empty():
        return named, None
    told: list[str] = []
    for number in itertools.count(1):
        directory = named if number == 1 else named.with_name(f"{named.name}-{number}")
        try:
            plain = TrainConfig.parse(plain_config(config)).plain
            if RunDirectory(directory).is_empty() or not (other := another_run(plain, directory)):
                directory.mkdir(parents=True, exist_ok=True)
                return directory, "\n".join([*told, f"this job is in {directory}"]) if told else None
        except (UserError, OmegaConfBaseException):  # the job itself will be refused, and say why
            return directory, None
        told.append(f"{directory}: holds another run: {shown(other)}")
    raise AssertionError("itertools.count ended")


def _continues(config: DictConfig, resume: str) -> bool:
    if config.init_from is not None:  # a run that starts from other weights does so once
        return False
    if config.ckpt_path is None:
        return resume != "never"
    return bool(config.ckpt_path == "last")  # another file is refused as soon as the directory holds a run


def _finds_it_again(key: str, lines: Sequence[str]) -> bool:
    """Whether the user has named the folder, and not by the time."""
    named = [line for line in lines if key_of(line) == key]
    return bool(named) and not any(word in named[-1] for word in _ANOTHER_EACH_TIME)


def _hydras_overrides() -> list[str]:
    lines = OmegaConf.to_container(HydraConfig.get().overrides.hydra, resolve=False)  # as they were typed
    assert isinstance(lines, list)
    return [str(line) for line in lines]
