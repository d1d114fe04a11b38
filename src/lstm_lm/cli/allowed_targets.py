"""What a configuration may have Hydra make: the parts that this project uses, and nothing else.

Hydra makes objects from any `_target_` in its own section, Python's logging any handler's `class` or `()`, and Hydra
looks for YAML files in any package of `hydra.searchpath`: each would import a module that is named, and run it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from omegaconf import DictConfig, OmegaConf

from lstm_lm.errors import UserError

TARGETS = (
    "lstm_lm.cli.hydra_hooks.RefuseEarly",
    "hydra._internal.core_plugins.basic_launcher.BasicLauncher",
    "hydra._internal.core_plugins.basic_sweeper.BasicSweeper",
    "hydra_plugins.hydra_joblib_launcher.joblib_launcher.JoblibLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
    "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
)
LOGGING = (
    *("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.Formatter"),
    "logging.handlers.RotatingFileHandler",
    "colorlog.ColoredFormatter",
)
STREAMS = ("ext://sys.stdout", "ext://sys.stderr")
PACKAGES = ("hydra.conf", "hydra_plugins.")
"""What begins so may be looked into for YAML files."""


@contextmanager
def only_allowed_targets() -> Iterator[None]:
    """Every configuration that Hydra composes in here, a sweep's jobs included, is checked before it is used."""
    compose = ConfigLoaderImpl._load_configuration_impl  # every way to compose ends there, in Hydra 1.4 too

    def checked(self: ConfigLoaderImpl, *args: Any, **kwargs: Any) -> DictConfig:
        config = compose(self, *args, **kwargs)
        check_targets(OmegaConf.to_container(config, resolve=False))
        return config

    look_into = ConfigRepository.initialize_sources

    def looked_into(self: ConfigRepository, config_search_path: ConfigSearchPath) -> None:
        for entry in config_search_path.get_path():
            if entry.path.startswith("pkg://") and not entry.path.removeprefix("pkg://").startswith(PACKAGES):
                raise UserError(
                    f"{entry.path}: not allowed: looking into a package runs its code\n"
                    "name a folder: --config-dir DIR, or hydra.searchpath=[file://DIR]"
                )
        look_into(self, config_search_path)

    ConfigLoaderImpl._load_configuration_impl = checked  # type: ignore[method-assign]
    ConfigRepository.initialize_sources = looked_into  # type: ignore[method-assign]
    try:
        yield
    finally:
        ConfigLoaderImpl._load_configuration_impl = compose  # type: ignore[method-assign]
        ConfigRepository.initialize_sources = look_into  # type: ignore[method-assign]


def check_targets(node: Any, where: str = "") -> None:
    """Refuse what is not in the lists above; an interpolation is not resolved, so it is none of them.

    Raises:
        UserError: names the key.
    """
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    logs = where.startswith(("hydra.job_logging", "hydra.hydra_logging"))
    for key, value in entries:
        name = f"{where}.{key}" if where else str(key)
        refused = (
            (key == "_target_" and value not in TARGETS)
            or (logs and key in ("class", "()") and value not in LOGGING)
            or (logs and isinstance(value, str) and "://" in value and value not in STREAMS)
        )
        if refused:
            raise UserError(f"{name}={value}: not allowed: it could run any code\nleave it out")
        check_targets(value, name)
