"""From Hydra's configuration to the plain dict that everything below the command line works with."""

from typing import Any

from omegaconf import DictConfig, OmegaConf


def plain_config(config: DictConfig) -> dict[str, Any]:
    """Dicts, lists and values, every interpolation resolved; Hydra's own section, where there is one, left out.

    Raises:
        OmegaConfBaseException: an interpolation cannot be resolved, or a value is missing (`???`).
    """
    keys = [str(key) for key in config if key != "hydra"]
    plain = OmegaConf.to_container(OmegaConf.masked_copy(config, keys), resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}
