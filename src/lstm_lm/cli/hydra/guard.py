"""What a configuration may have Hydra make: the parts that this project uses, and nothing else.

Hydra makes objects from any `_target_` in its own section, Python's logging any handler's `class` or `()`, and Hydra
looks for YAML files in any package of `hydra.searchpath`: each would import a module that is named, and run it.

It is asked twice: of a configuration, as soon as it is composed, a sweep's jobs included, where the answer names the
key; and of each name, as it is about to be imported, whatever an interpolation has put together meanwhile.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

from hydra._internal import logging_config
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.instantiate import _instantiate2
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lstm_lm.cli.hydra.resolvers import only_looking
from lstm_lm.errors import UserError
from lstm_lm.printable import cause_of, shown

Method = Callable[..., Any]

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
PACKAGES = ("hydra.conf.", "hydra_plugins.")
"""What begins so may be looked into for YAML files."""

LOGS = ("hydra.job_logging", "hydra.hydra_logging")
MADE = ("hydra.callbacks", "hydra.sweeper", "hydra.launcher", *LOGS, "hydra.verbose")
"""What Hydra makes objects from, or hands to logging: all of its section that may hold any key."""

LATE = (("runtime", "output_dir", "/run"), ("job", "id", "1"), ("job", "num", 1))
"""What Hydra fills in only as a job begins: what stands for it until then."""


@contextmanager
def only_allowed_targets() -> Iterator[None]:
    """In this block a configuration makes nothing but what is listed here."""
    with ExitStack() as undo:
        for owner, name, around in _GUARDED:
            original = getattr(owner, name)
            setattr(owner, name, around(original))
            undo.callback(setattr, owner, name, original)
        yield


@cache
def guard_process() -> None:
    """The same from now on: for a process that a launcher has started to do jobs, and that does nothing else."""
    for owner, name, around in _GUARDED:
        setattr(owner, name, around(getattr(owner, name)))


def check_config(config: DictConfig) -> None:
    """Refuse what is not in the lists above; in `MADE` after resolution, and with it what cannot be resolved.

    Raises:
        UserError: names the key.
    """
    check_targets(OmegaConf.to_container(config, resolve=False))
    tried = config.copy()
    hydra = _value(tried, "hydra")
    for section, key, stand_in in LATE:
        if OmegaConf.is_missing(hydra[section], key):
            hydra[section][key] = stand_in
    with only_looking(), _hydras_own(tried):
        for name in MADE:
            check_targets(_plain(_value(hydra, name.removeprefix("hydra."))), name)


@contextmanager
def _hydras_own(config: DictConfig) -> Iterator[None]:
    """`${hydra:...}` reads `config`, as it will while the job runs, and not what ran before in this process."""
    current = HydraConfig.instance()
    before, current.cfg = current.cfg, config  # type: ignore[assignment]  # as run_job does
    try:
        yield
    finally:
        current.cfg = before


def check_targets(node: Any, where: str = "") -> None:
    """Refuse what is not in the lists above; an interpolation is none of them.

    Args:
        node: dicts, lists and values.
        where: its key, with dots.

    Raises:
        UserError: names the key.
    """
    entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    logs = where.startswith(LOGS)
    for key, value in entries:
        name = f"{where}.{key}" if where else str(key)
        refused = (
            (key == "_target_" and value not in TARGETS)
            or (logs and key in ("class", "()") and value not in LOGGING)
            or (logs and key == ".")  # sets any attribute of a handler
            or (logs and isinstance(value, str) and "://" in value and value not in STREAMS)
        )
        if refused:
            raise not_allowed(name, value)
        check_targets(value, name)


def check_target(target: object, key: str) -> None:
    """Refuse what Hydra is about to make an object with, unless it is in `TARGETS`.

    Raises:
        UserError: names `key`.
    """
    if isinstance(target, str) and target not in TARGETS:
        raise not_allowed(f"{key}._target_" if key else "_target_", target)


def check_logging_name(name: str) -> None:
    """Refuse what logging is about to import, unless it is in `LOGGING` or `STREAMS`.

    Raises:
        UserError: gives the name.
    """
    if name not in LOGGING and f"ext://{name}" not in STREAMS:
        raise not_allowed(" or ".join(LOGS), name)


def check_folder(path: str) -> None:
    """Refuse what Hydra is about to look for YAML files in, unless that is a folder or one of `PACKAGES`.

    Raises:
        UserError: gives the path.
    """
    scheme, marked, rest = path.partition("://")
    if not marked or scheme == "file" or (scheme == "pkg" and f"{rest}.".replace("/", ".").startswith(PACKAGES)):
        return
    if (scheme, rest) == ("structured", ""):  # what Hydra and its plugins have registered
        return
    raise UserError(
        f"{shown(path)}: not allowed: looking into a package runs its code\n"
        "name a folder: --config-dir DIR, or hydra.searchpath=[file://DIR]"
    )


def not_allowed(key: str, value: object) -> UserError:
    """The refusal of `value` at `key`."""
    return UserError(f"{shown(key)}={shown(str(value))}: not allowed: it could run any code\nleave it out")


def _plain(value: Any) -> Any:
    if isinstance(value, DictConfig):
        return {key: _plain(_value(value, key)) for key in value}
    if isinstance(value, ListConfig):
        return [_plain(_value(value, index)) for index in range(len(value))]
    return value


def _value(node: Any, key: Any) -> Any:
    """What `node` has at `key`; an interpolation may stand for a value there, not for a group of keys."""
    if OmegaConf.is_missing(node, key):
        return None
    if not OmegaConf.is_interpolation(node, key):
        return node[key]
    name = node._get_full_key(key)
    written = node._get_node(key)._value()
    try:
        value = node[key]
    except (OmegaConfBaseException, ValueError, RecursionError) as error:
        raise UserError(f"{shown(name)}={shown(written)}: cannot be resolved: {shown(cause_of(error))}") from None
    if OmegaConf.is_config(value):
        raise UserError(
            f"{shown(name)}={shown(written)}: not allowed: it stands for several keys: it could run any code\n"
            "write them out, or leave it out"
        )
    return value


def _composing(compose: Method) -> Method:
    def checked(self: ConfigLoaderImpl, *args: Any, **kwargs: Any) -> DictConfig:
        config: DictConfig = compose(self, *args, **kwargs)
        check_config(config)
        return config

    return checked


def _looking_for_files(look: Method) -> Method:
    def checked(self: ConfigRepository, config_search_path: ConfigSearchPath) -> None:
        for entry in config_search_path.get_path():
            check_folder(str(entry.path))
        look(self, config_search_path)

    return checked


def _importing_a_target(find: Method) -> Method:
    def checked(target: object, full_key: str) -> object:
        check_target(target, full_key)
        return find(target, full_key)

    return checked


def _importing_for_logging(find: Method) -> Method:
    def checked(self: logging_config.HydraDictConfigurator, s: str) -> object:  # named as in logging
        check_logging_name(s)
        return find(self, s)

    return checked


_GUARDED: tuple[tuple[object, str, Callable[[Method], Method]], ...] = (
    (ConfigLoaderImpl, "_load_configuration_impl", _composing),  # every way to compose ends there
    (ConfigRepository, "initialize_sources", _looking_for_files),
    (_instantiate2, "_resolve_target", _importing_a_target),  # every `_target_`, nested ones included
    (logging_config.HydraDictConfigurator, "resolve", _importing_for_logging),  # `class`, `()`, `ext://`
)
"""Hydra's own functions (1.3.8): the last two are the only ones that import what a value names."""
