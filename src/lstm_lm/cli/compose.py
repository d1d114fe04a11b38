"""From the files in `conf/` and overrides as on the command line to a plain configuration."""

from typing import Any, cast

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from lstm_lm.cli.conf_dir import conf_dir


def compose(*overrides: str, config_name: str = "train") -> dict[str, Any]:
    """The configuration that `python train.py OVERRIDES` would run with, as plain dicts and lists.

    Args:
        overrides: in Hydra's grammar, as `"model.hidden_size=64"`.
        config_name: a file at the top of `conf/`.

    Raises:
        hydra.errors.HydraException: an override names what is not there.
    """
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        config = hydra_compose(config_name, overrides=list(overrides))
    return cast(dict[str, Any], OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
