"""A finished study without a single run: rows of the real `conf/study`, and figures that a test makes up."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from quick_compose import compose, composed

from lstm_lm.sweeps.options import StudyOptions
from lstm_lm.sweeps.records import Record, Stage, Status
from lstm_lm.sweeps.results import Outcome, Results
from lstm_lm.sweeps.rows import Plan, Row, make_plan
from lstm_lm.sweeps.study import Study

Figures = Callable[[Row, int], dict[str, Any] | str]
"""Of a row's run in a repetition: what its summary.json and evaluation.json hold; or why it was skipped."""


def results(
    name: str,
    folder: Path,
    figures: Figures,
    *,
    arms: list[str] | None = None,
    device: str | None = None,
) -> Results:
    """The results of `study=NAME` with three repetitions.

    Args:
        name: the study's.
        folder: its folder; nothing is written into it.
        figures: of each run.
        arms: the only ones that there are; None: all.
        device: the one that was typed for all of them.
    """
    plan = _plan(name, arms and tuple(arms), device)
    study = Study(folder, plan.rows, 3, 1, 60.0, "a made-up machine")
    outcomes = [_outcome(study, row, number, figures(row, number)) for row in plan.rows for number in (1, 2, 3)]
    return Results(study, plan, outcomes)


@cache
def _plan(name: str, arms: tuple[str, ...] | None, device: str | None) -> Plan:
    """Of a study's rows, which take seconds to compose."""
    section = compose(f"study={name}")["study"]
    section["arms"] = {arm: rows for arm, rows in section["arms"].items() if arms is None or arm in arms}
    typed = {"device": [f"device={device}"]} if device else {}
    return make_plan(
        StudyOptions.read(section),
        typed,
        composed,
    )


def _outcome(study: Study, row: Row, repetition: int, found: dict[str, Any] | str) -> Outcome:
    [turn] = [turn for turn in study.turns() if turn == (row, repetition)]
    status: Status = "skipped" if isinstance(found, str) else "completed"
    reason = found if isinstance(found, str) else None
    stage = Stage(key=row.key, command="", status=status, reason=reason, seconds=1.0, ended="2026-01-31T12:00:00")
    record = Record(
        label=row.label,
        number=repetition,
        row={},
        machine=study.machine,
        attempt="a",
        stages={"train": stage},
    )
    return Outcome(turn, study.folder, record, {} if isinstance(found, str) else found)
