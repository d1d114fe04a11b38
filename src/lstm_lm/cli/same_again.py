"""Whether the same command, given once more, goes on with what it has left: SLURM is asked for that (`requeue`)."""

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lstm_lm.cli.resolvers import key_of

_ANOTHER_EACH_TIME = ("${now:", "${fresh_dir:")


def run_goes_on(config: DictConfig) -> bool:
    """Whether a single run does."""
    return _finds_it_again("hydra.run.dir", _hydras_overrides()) and _continues(config, config.resume)


def job_goes_on(config: DictConfig, resume: str) -> bool:
    """Whether a sweep's job does; `resume` is what it is run with where its directory holds a run already."""
    ours = 1  # the last: the directory itself, which `RefuseEarly` has added for the jobs
    lines = [line for line in _hydras_overrides() if key_of(line) == "hydra.sweep.dir"]
    return _finds_it_again("hydra.sweep.dir", lines[:-ours]) and _continues(config, resume)


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
