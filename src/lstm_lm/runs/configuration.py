"""The configuration that a run was started with, and how those of several runs differ, key by key."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from lstm_lm.errors import UserError
from lstm_lm.runs.directory import RunDirectory

ABSENT = "-"
"""Stands for a key that a configuration does not have (an option's keys go with the option)."""


@dataclass(frozen=True)
class Difference:
    """A key whose value is not the same in all configurations."""

    key: str
    """With dots: `model.hidden_size`."""
    values: list[str]
    """One a configuration, as JSON but texts as they are; or ABSENT."""


def read_config(run: RunDirectory) -> dict[str, Any]:
    """The configuration as it was composed, interpolations resolved where they can be; from the checkpoint without one.

    Only the command line writes the file; a run from Python has its configuration in its checkpoints.

    Raises:
        UserError: neither can be read.
    """
    try:
        loaded = OmegaConf.load(run.config)
    except FileNotFoundError:
        return _from_checkpoint(run)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        cause = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{run.config}: cannot be read: {cause}") from None
    try:
        plain = OmegaConf.to_container(loaded, resolve=True)
    except OmegaConfBaseException:  # of a function that only its own program knows: compared as it is written
        plain = OmegaConf.to_container(loaded, resolve=False)
    if not isinstance(plain, dict):
        raise UserError(f"{run.config}: not a configuration: it has no keys")
    return {str(key): value for key, value in plain.items()}


def differences(configs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """The keys whose values are not alike in all `configs`, in the order in which these have them."""
    flat = [dict(_flat(config)) for config in configs]
    keys = dict.fromkeys(key for config in flat for key in config)
    rows = [Difference(key, [config.get(key, ABSENT) for config in flat]) for key in _grouped(keys)]
    return [row for row in rows if len(set(row.values)) > 1]


def _flat(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in node.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, str) else json.dumps(value, default=str)


def _grouped(keys: Mapping[str, object]) -> list[str]:
    """`keys` with those of one section together, sections in their order."""
    sections = list(dict.fromkeys(key.partition(".")[0] for key in keys))
    return sorted(keys, key=lambda key: sections.index(key.partition(".")[0]))


def _from_checkpoint(run: RunDirectory) -> dict[str, Any]:
    from lstm_lm.runs import checkpoint_file, rotation  # and torch, with it

    for path in (*rotation.existing(run.last), run.best):
        try:
            config = checkpoint_file.load(path)[checkpoint_file.SECTION].get("config")
        except UserError:
            continue
        if isinstance(config, dict):
            return config
    raise UserError(
        f"{run.path}: no configuration there: neither {run.config.relative_to(run.path)} nor a usable checkpoint"
    )
