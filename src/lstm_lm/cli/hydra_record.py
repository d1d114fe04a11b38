"""`.hydra/` in a run directory: the composed configuration, Hydra's own, and what was typed.

Hydra writes these files before the application is asked, and so over those of a run that must not be touched. Here they
are handed to the run, which writes them once it has begun (`hydra.output_subdir` is null).
"""

from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf


def record_of(config: DictConfig) -> dict[str, str]:
    """Each file's content by its name: `config` as composed, interpolations and all, Hydra's part, the overrides."""
    hydra_config: Any = HydraConfig.instance().cfg
    return {
        "config.yaml": OmegaConf.to_yaml(config),
        "hydra.yaml": OmegaConf.to_yaml(hydra_config),
        "overrides.yaml": OmegaConf.to_yaml(hydra_config.hydra.overrides.task),
    }
