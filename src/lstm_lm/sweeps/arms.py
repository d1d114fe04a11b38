"""From arms to the settings of each row.

Hydra's sweeper knows Cartesian products only. A study is a list of arms, each a product of its own, so "one setting at
a time" and "equal parameters" are arms with fixed settings and nothing to sweep.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.sweeps.options import ArmOptions, StudyOptions

Lines = dict[str, str]
"""Overrides by their keys, each as a person would type it: `{"model.num_layers": "model.num_layers=2"}`."""

_BARE = re.compile(r"[\w./+-]*[A-Za-z_][\w./+-]*", re.ASCII)
_NOT_TEXT = frozenset({"null", "true", "false"})
_BEFORE_QUOTE = re.compile(r"(\\*)('|$)")


def expand(study: StudyOptions, typed: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Lines]]:
    """The rows of a study: the name of the arm, and all overrides that the row is run with.

    Args:
        study: its options.
        typed: by key, the overrides of the command line, which hold for every row: one, or several where an arm
            sweeps over that key and the command line says over which values.

    Raises:
        UserError: several values for a key that no arm sweeps over.
    """
    swept = {key for arm in study.arms.values() for key in arm.sweep}
    for key, lines in typed.items():
        if len(lines) > 1 and key not in swept:
            known = f"its own are: {', '.join(sorted(swept))}" if swept else "it sweeps over nothing"
            raise UserError(f"{key}: study={study.name} does not sweep over this key: give it one value\n{known}")
    for name, arm in study.arms.items():
        for row in _rows(study.settings, arm, typed):
            yield name, row


def _rows(shared: Mapping[str, Any], arm: ArmOptions, typed: Mapping[str, Sequence[str]]) -> Iterator[Lines]:
    choices: dict[str, Sequence[str]] = {}
    for key, value in {**shared, **arm.settings}.items():
        choices[key] = [override(key, value)]
    for key, values in arm.sweep.items():
        choices[key] = [override(key, value) for value in values]
    for key, lines in typed.items():
        if len(lines) == 1 or key in arm.sweep:
            choices[key] = lines
    for combination in itertools.product(*choices.values()):
        yield dict(zip(choices, combination, strict=True))


def laid_over(lines: Mapping[str, str], settings: Mapping[str, Any]) -> Lines:
    """A row's overrides with some of its settings replaced; a setting that is null is left away."""
    replaced = {key: override(key, value) for key, value in settings.items() if value is not None}
    return {key: line for key, line in {**lines, **replaced}.items() if key in replaced or key not in settings}


def override(key: str, value: Any) -> str:
    """`KEY=VALUE` as it is typed."""
    return f"{key}={written(value)}"


def written(value: Any) -> str:
    """A value of a YAML file in the grammar of overrides: `null`, `true`, `0.5`, `text`, `[1,2]`, `{a:1}`."""
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{written(item)}' for key, item in value.items())}}}"
    if isinstance(value, str):
        if _BARE.fullmatch(value) and value.lower() not in _NOT_TEXT and not _is_number(value):
            return value
        # Backslashes count only before a quote.
        inside = _BEFORE_QUOTE.sub(lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value)
        return f"'{inside}'"
    return json.dumps(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
