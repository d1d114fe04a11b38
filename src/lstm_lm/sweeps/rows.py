"""A row of a sweep: one configuration, known by its hash, so that it is recognised whenever it comes up again."""

import glob
import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lstm_lm.errors import UserError
from lstm_lm.evaluation.text import data_section, with_fractions
from lstm_lm.runs.code_version import code_version, is_edited
from lstm_lm.sweeps.arms import Lines, expand, laid_over
from lstm_lm.sweeps.inputs import InputDigests, Inputs, changed_since
from lstm_lm.sweeps.names import file_name
from lstm_lm.sweeps.options import StudyOptions
from lstm_lm.training.identity import is_below, is_incidental

KEY_LENGTH = 12
_Composed = tuple[str, Lines, Mapping[str, Any]]
"""Arm, overrides and configuration of a row."""
PLACES = {
    "text train": ("data.path", "data.validation_path", "data.test_path"),
    "init_from": ("init_from",),
    "ckpt_path": ("ckpt_path",),
}
"""Keys that say where an input lies: not in the hash, where that input itself is."""


class Compose(Protocol):
    """From overrides to a whole configuration, plain and resolved; of `train`, or of another verb."""

    def __call__(self, lines: Sequence[str], /, config_name: str = "train") -> Mapping[str, Any]:
        """Compose `lines`."""


@dataclass(frozen=True)
class Step:
    """A command that follows a row's training: `lstm_lm VERB run=ITS_RUN OVERRIDES`."""

    name: str
    verb: str
    overrides: Sequence[str]
    inputs: Inputs = field(default_factory=dict)
    """The texts that it reads instead of the row's own."""

    @property
    def key(self) -> str:
        """The hash of what is run, on what, and by which code."""
        return _digest([self.verb, sorted(self.overrides), self.inputs, code_version()])


@dataclass(frozen=True)
class Row:
    """One configuration of a sweep, to be run once, or of a study, to be run once per repetition."""

    arm: str
    """Of the study that it belongs to."""
    overrides: Lines
    """All that is typed to run it."""
    settings: Mapping[str, str]
    """Those that tell it from the other rows, as values: `{"precision": "32-true"}`."""
    seed: int
    """Of the first repetition; each further one counts one up."""
    key: str
    """The hash of its configuration."""
    config: Mapping[str, Any] = field(compare=False, repr=False)
    """All of that, of the first repetition."""
    steps: Sequence[Step] = ()
    inputs: Inputs = field(default_factory=dict)
    """What it reads, by its content."""

    compared: frozenset[str] = frozenset()
    """Keys that tell rows apart whatever they are (see `row_identity`)."""

    def identity(self) -> dict[str, Any]:
        """What its key is the hash of, flat."""
        return row_identity(self.config, self.inputs, self.compared)

    def changed(self) -> str | None:
        """What to say where the key no longer is of what a process that begins now reads; None: it is."""
        names = [*changed_since(self.inputs, self.config), *(["the program's source"] if is_edited() else [])]
        if not names:
            return None
        return f"{', '.join(names)}: changed since this began\ntype the command again: it runs what is there now"

    @property
    def label(self) -> str:
        """For people: what tells it from the other rows."""
        return " ".join(f"{key}={value}" for key, value in self.settings.items()) or self.arm

    def arguments(self, repetition: int) -> list[str]:
        """What `train` is given, for a repetition counted from 1."""
        seed = (self.seed + repetition - 1) % 2**32
        return [*(line for key, line in self.overrides.items() if key != "seed"), f"seed={seed}"]


@dataclass(frozen=True)
class Plan:
    """The rows of a study, each configuration once, and the rows that they are compared with."""

    rows: Sequence[Row]
    baselines: Mapping[str, Mapping[str, str]]
    """By the baseline's name, for each row's key the key of the row that it is compared with, where there is one."""

    def baseline(self, name: str, row: Row) -> Row | None:
        """The row that `row` is compared with; None: there is none, or no such baseline."""
        key = self.baselines.get(name, {}).get(row.key)
        return next((other for other in self.rows if other.key == key), None)


def make_plan(study: StudyOptions, typed: Mapping[str, Sequence[str]], compose: Compose) -> Plan:
    """All rows of a study.

    Args:
        study: its options.
        typed: overrides for every row, by their keys (see `arms.expand`).
        compose: makes a row's configuration from its overrides, and a step's from its own.

    Raises:
        UserError: what `arms.expand` or `compose` refuses; `study.models` names one that no row is of.
    """
    found = _of_models(study, [(arm, lines, compose(list(lines.values()))) for arm, lines in expand(study, typed)])
    compared = frozenset(key for arm in study.arms.values() for key in (*arm.settings, *arm.sweep))
    keys = dict.fromkeys(key for _, lines, _ in found for key in lines)
    varied = [key for key in keys if len({lines.get(key) for _, lines, _ in found}) > 1]
    rows: dict[str, Row] = {}
    digests = InputDigests()
    for arm, lines, config in found:
        inputs = digests.of(config)
        key = row_key(config, inputs, compared)
        if key not in rows:  # two arms may meet in a row
            differing = {name: lines[name].partition("=")[2] for name in varied if name in lines}
            steps = _steps(study, lines, config, compose, digests)
            rows[key] = Row(arm, lines, differing, int(config["seed"]), key, config, steps, inputs, compared)
    by_overrides = {frozenset(row.overrides.items()): row.key for row in rows.values()}
    baselines: dict[str, dict[str, str]] = {}
    for name, settings in study.baselines.items():
        baselines[name] = {}
        for row in rows.values():
            other = {
                **laid_over(row.overrides, settings),
                **{key: lines[0] for key, lines in typed.items() if len(lines) == 1},
            }
            if (found_key := by_overrides.get(frozenset(other.items()))) is not None:
                baselines[name][row.key] = found_key
    return Plan(list(rows.values()), baselines)


def _of_models(study: StudyOptions, found: list[_Composed]) -> list[_Composed]:
    """Those of `study.models` alone, where that names any."""
    if study.models is None:
        return found
    known = dict.fromkeys(_model(config) for _, _, config in found)
    if unknown := [name for name in study.models if name not in known]:
        raise UserError(
            f"study.models: {unknown[0]}: study={study.name} has no row of this model\nits own are: {', '.join(known)}"
        )
    return [row for row in found if _model(row[2]) in study.models]


def _model(config: Mapping[str, Any]) -> str:
    return str(config["model"]["name"])


def row_key(config: Mapping[str, Any], inputs: Inputs, compared: Set[str] = frozenset()) -> str:
    """The hash of a row: whatever the order of its keys, and wherever its run, its texts and its cache lie."""
    return _digest(row_identity(config, inputs, compared))


def row_identity(config: Mapping[str, Any], inputs: Inputs, compared: Set[str] = frozenset()) -> dict[str, Any]:
    """What is run, flat: the configuration's keys, the digests of what is read, and the version of the code.

    Keys on which no figure depends are left out, but for those in `compared`, the ones that a study's arms differ in.
    """
    places = {key for name, keys in PLACES.items() if name in inputs for key in keys}
    kept = {
        key: value
        for key, value in _leaves(config).items()
        if key not in places and (not is_incidental(key) or any(is_below(key, name) for name in compared))
    }
    return kept | dict(inputs) | {f"code, {name}": version for name, version in code_version().items()}


def folder_of(row: Row, rows: Path) -> Path:
    """The row's folder below `rows`: the one that bears its hash, or a new name that people can read."""
    there = sorted(rows.glob(f"*_{row.key}"))
    return there[0] if there else rows / f"{file_name(row.label.split())}_{row.key}"


def folders_of_name(row: Row, rows: Path) -> list[Path]:
    """Folders below `rows` of rows that people call the same, whatever their hash."""
    return list(rows.glob(f"{glob.escape(file_name(row.label.split()))}_{'?' * KEY_LENGTH}"))


def _steps(
    study: StudyOptions, lines: Lines, config: Mapping[str, Any], compose: Compose, digests: InputDigests
) -> list[Step]:
    steps = []
    for name, step in study.steps.items():
        like_row = {key: lines[key] for key in step.like_row if key in lines}
        own = {**laid_over({}, step.settings), **like_row}
        inputs: Inputs = {}
        if any(key.partition(".")[0] == "data" for key in own):  # a text of its own
            data = data_section(compose(list(own.values()), step.verb)["data"], config["data"])
            inputs = digests.of({"data": with_fractions(data)})
        steps.append(Step(name, step.verb, list(own.values()), inputs))
    return steps


def _leaves(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in node.items():
        found |= _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _digest(what: Any) -> str:
    text = json.dumps(what, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]
