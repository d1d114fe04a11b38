"""The same command, given once more: whether it continues what it has left. SLURM is asked to queue only such a one."""

from collections.abc import Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lstm_lm.cli.hydra.resolvers import key_of

_ANOTHER_EACH_TIME = ("${now:", "${fresh_dir:")


def run_is_resumable(config: DictConfig) -> bool:
    """Whether a single run's command continues it."""
    if not _names_the_folder("hydra.run.dir", hydras_overrides()):
        return False
    if config.init_from is not None:  # a run that starts from other weights does so once
        return False
    if config.ckpt_path is None:
        return bool(config.resume != "never")
    return bool(config.ckpt_path == "last")  # another file is refused as soon as the directory holds a run


def finds_its_sweep_again() -> bool:
    """Whether a sweep's command, of which this process has a job, comes back to the folder of that sweep."""
    ours = 1  # the last: the folder itself, which `RefuseEarly` has added for the jobs
    return _names_the_folder(
        "hydra.sweep.dir", [line for line in hydras_overrides() if key_of(line) == "hydra.sweep.dir"][:-ours]
    )


def hydras_overrides() -> list[str]:
    """Those of Hydra's own keys, as they were typed."""
    lines = OmegaConf.to_container(HydraConfig.get().overrides.hydra, resolve=False)
    assert isinstance(lines, list)
    return [str(line) for line in lines]


def _names_the_folder(key: str, lines: Sequence[str]) -> bool:
    """Whether the user has named it, and not by the time."""
    named = [line for line in lines if key_of(line) == key]
    return bool(named) and not any(word in named[-1] for word in _ANOTHER_EACH_TIME)
