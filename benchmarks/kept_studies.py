"""The results of a study, read back from the CSV that is kept of it in `benchmarks/results/studies/`."""

import csv
from pathlib import Path
from typing import Any

import lstm_lm
from lstm_lm.sweeps.arms import written
from lstm_lm.sweeps.options import StudyOptions
from lstm_lm.sweeps.records import Record, Stage
from lstm_lm.sweeps.results import Outcome, Results
from lstm_lm.sweeps.rows import Plan, Row
from lstm_lm.sweeps.schedule import Turn
from lstm_lm.sweeps.study import Study

GROUPS = {"device": "trainer.accelerator"}
"""Groups whose choice is read under another key than GROUP.name."""
MACHINE = "the one"
"""All runs of a file are of one machine."""


def read(path: Path, size: str) -> Results:
    """The study that is named as the file is, compared with the baselines that `conf/study` has for it."""
    lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    keys = list(lines[0])
    telling = keys[keys.index("arm") + 1 : keys.index("repetition")]
    rows: dict[str, Row] = {}
    for line in lines:
        settings = {key: line[key] for key in telling if line[key]}
        config = _nested({_key(key): value for key, value in settings.items()})
        config.setdefault("trainer", {}).setdefault("max_time", None)
        rows.setdefault(line["row"], Row(line["arm"], settings, settings, 1, line["row"], config))
    options = StudyOptions.read(lstm_lm.compose(f"study={path.stem}", f"study.size={size}")["study"])
    plan = Plan(list(rows.values()), {name: _pairs(rows, settings) for name, settings in options.baselines.items()})
    repetitions = max(int(line["repetition"]) for line in lines)
    study = Study(path.parent, plan.rows, repetitions, 1, 0.0, MACHINE)
    return Results(study, plan, [_outcome(rows[line["row"]], line) for line in lines])


def _key(key: str) -> str:
    return key if "." in key else GROUPS.get(key, f"{key}.name")


def _pairs(rows: dict[str, Row], settings: dict[str, Any]) -> dict[str, str]:
    """For each row's key that of the row with `settings` laid over it."""
    by_settings = {frozenset(row.settings.items()): row.key for row in rows.values()}
    laid = {key: written(value) for key, value in settings.items() if value is not None}
    pairs = {}
    for row in rows.values():
        kept = {key: value for key, value in row.settings.items() if key not in settings}
        if (other := by_settings.get(frozenset({**kept, **laid}.items()))) is not None:
            pairs[row.key] = other
    return pairs


def _outcome(row: Row, line: dict[str, str]) -> Outcome:
    status = line["status"]
    stage = Stage.model_validate(
        {"key": row.key, "command": "", "status": status, "reason": line["reason"] or None, "ended": ""}
    )
    record = Record(label="", number=1, row={}, machine=MACHINE, attempt="", stages={"train": stage})
    summary = _nested({key: _value(text) for key, text in line.items() if "." in key and text})
    return Outcome(Turn(row, int(line["repetition"])), Path(), record, summary)


def _value(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`."""
    found: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, last = key.split(".")
        place = found
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return found
