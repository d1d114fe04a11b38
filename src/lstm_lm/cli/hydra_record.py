"""`.hydra/` in a run directory: the composed configuration, Hydra's own, and what was typed.

Hydra writes these files before the application is asked, and so over those of a run that must not be touched. Here they
are written, whole or not at all, once the run has been accepted (`hydra.output_subdir` is null).
"""

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from lstm_lm.runs import atomic
from lstm_lm.runs.directory import RunDirectory


def write_record(config: DictConfig, run_dir: Path) -> None:
    """Write `config` as it was composed, interpolations and all, and beside it Hydra's part and the overrides.

    Raises:
        RunError: a file cannot be written.
    """
    folder = RunDirectory(run_dir).config.parent
    hydra_config: Any = HydraConfig.instance().cfg
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise atomic.write_error(folder, error) from error
    atomic.write_text(RunDirectory(run_dir).config, OmegaConf.to_yaml(config))
    atomic.write_text(folder / "hydra.yaml", OmegaConf.to_yaml(hydra_config))
    atomic.write_text(folder / "overrides.yaml", OmegaConf.to_yaml(hydra_config.hydra.overrides.task))
