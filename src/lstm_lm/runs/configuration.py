"""The configuration that a run was started with, and how those of several runs differ, key by key."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lstm_lm.errors import UserError
from lstm_lm.flat_keys import at, flat_keys
from lstm_lm.printable import cause_of
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.regular_file import read_regular

ABSENT = "-"
"""Stands for a key that a configuration does not have (an option's keys go with the option)."""
MOST_BYTES = 2**20
LONGEST_NUMBER = 200
"""Digits, of the bases 60 and 16, too, that YAML knows."""
MOST_VALUES = 10_000
"""Of a configuration, names of keys included; a run's own has a few hundred."""
DEEPEST = 32
_REFERENCE = re.compile(r"\$\{(\.?)([\w.]+)\}")
"""`${trainer.precision}`, or `${.dropout}` for a key beside it; nothing around it."""
_LONGEST_CHAIN = 8
"""Of references to references."""
_HUGE_NUMBER = re.compile(rf"[-+]?[0-9][0-9a-fA-FxXob_:.]{{{LONGEST_NUMBER},}}")


@dataclass(frozen=True)
class Difference:
    """A key whose value is not the same in all configurations."""

    key: str
    """With dots: `model.hidden_size`."""
    values: list[str]
    """One a configuration, as JSON but texts as they are; or ABSENT."""


def read_config(run: RunDirectory) -> dict[str, Any]:
    """The configuration as it was composed; from the checkpoint where there is no such file.

    Only the command line writes the file; a run from Python has its configuration in its checkpoints. A value that is
    all a reference to another key (`${precision.name}`) is replaced by that key's, where this is one value. Nothing
    else is resolved: the file may come from anywhere, and resolvers read the environment, for one.

    Raises:
        UserError: neither can be read.
    """
    try:
        text = read_regular(run.config, MOST_BYTES).decode("utf-8")
        _check_size(text)
        plain = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=False)
    except FileNotFoundError:
        return _from_checkpoint(run)
    except (OSError, ValueError, yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"{run.config}: cannot be read: {cause_of(error)}") from None
    if not isinstance(plain, dict):
        raise UserError(f"{run.config}: not a configuration: it has no keys")
    return {str(key): _referred(value, plain, (key,)) for key, value in plain.items()}


def _check_size(text: str) -> None:
    """Look at the file's structure before anything is built of it.

    Raises:
        ValueError: it is larger or deeper than a configuration is, or names a part of it twice (what a run writes does
            not; a few lines that do so can stand for any number of values).
        YAMLError: it is not YAML.
    """
    depth = values = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"it has an alias (*{event.anchor:.20}), which a run's configuration has not")
        if isinstance(event, yaml.NodeEvent):
            values += 1
        if isinstance(event, yaml.ScalarEvent) and _HUGE_NUMBER.fullmatch(event.value):
            raise ValueError(f"it has a number of more than {LONGEST_NUMBER} digits")
        if isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)) and event.tag is not None:
            raise ValueError(f"it has a tag ({event.tag:.40}), which a run's configuration has not")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        if isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if values > MOST_VALUES or depth > DEEPEST:
            raise ValueError(f"it has more than {MOST_VALUES:,} values, or is nested more than {DEEPEST} deep")


def _referred(node: Any, root: Mapping[Any, Any], place: tuple[Any, ...]) -> Any:
    """`node`, which lies at `place` in `root`, with values in place of references to them."""
    if isinstance(node, dict):
        return {key: _referred(value, root, (*place, key)) for key, value in node.items()}
    found: Any = node
    for _ in range(_LONGEST_CHAIN):
        match = _REFERENCE.fullmatch(found) if isinstance(found, str) else None
        if match is None:
            return found
        place = (*(place[:-1] if match[1] else ()), *match[2].split("."))
        found = root
        for key in place:
            found = found.get(key) if isinstance(found, Mapping) else None
        if found is None or isinstance(found, (dict, list)):
            return node
    return node


def differences(configs: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """The keys whose values are not alike in all `configs`, in the order in which these have them."""
    flat = [
        {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in found.items()}
        for found in map(flat_keys, configs)
    ]
    keys = dict.fromkeys(key for config in flat for key in config)
    rows = [Difference(key, [config.get(key, ABSENT) for config in flat]) for key in _grouped(keys)]
    return [row for row in rows if len(set(row.values)) > 1]


def _grouped(keys: Mapping[str, object]) -> list[str]:
    """`keys` with those of one section together, sections in their order."""
    sections = list(dict.fromkeys(key.partition(".")[0] for key in keys))
    return sorted(keys, key=lambda key: sections.index(key.partition(".")[0]))


def _from_checkpoint(run: RunDirectory) -> dict[str, Any]:
    from lstm_lm.runs.lookup import newest_usable  # which imports torch once there is a checkpoint

    found = newest_usable(run)
    config = None if found is None else at(found.content, "lstm_lm.config")
    if config is None:
        raise UserError(
            f"{run.path}: no configuration there: neither {run.config.relative_to(run.path)} nor in a checkpoint"
        )
    return dict(config)
