"""Has Hydra ask `allowed_targets` before it imports what a configuration names.

What is asked about is what is used: a configuration is checked as it is composed, a sweep's jobs included, but what an
interpolation gives may be another thing later. So each name is checked once more as it is imported.
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
from omegaconf import DictConfig

from lstm_lm.cli.allowed_targets import check_config, check_folder, check_logging_name, check_target

Method = Callable[..., Any]


@contextmanager
def only_allowed_targets() -> Iterator[None]:
    """In this block a configuration makes nothing but what `allowed_targets` lists."""
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
