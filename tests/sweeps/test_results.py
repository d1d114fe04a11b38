"""What a study's runs have come to, as its folder says it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_arms import study as options
from test_rows import compose

from lstm_lm.sweeps.records import Record, Stage, Status
from lstm_lm.sweeps.results import NOT_DONE, Results
from lstm_lm.sweeps.rows import Plan, make_plan
from lstm_lm.sweeps.schedule import Turn
from lstm_lm.sweeps.study import Study

SPEED = "train.tokens_per_second"


def planned(splits: str = "[test]") -> Plan:
    """One core and two, each evaluated after its training."""
    arms = {"all": {"settings": {}, "sweep": {"runtime.threads": [1, 2]}}}
    steps = {"scores": {"verb": "evaluate", "settings": {"method.splits": splits}, "like_row": []}}
    return make_plan(options(arms=arms, steps=steps, baselines={"one": {"runtime.threads": 1}}), {}, compose)


def there(folder: Path, rows: Sequence[Any], repetitions: int = 2) -> Study:
    return Study(folder, rows, repetitions=repetitions, order_seed=1, timeout=60.0, machine="this one")


def note(study: Study, turn: Turn, *stages: str, speed: float = 1.0, machine: str = "this one") -> None:
    """Write what a run whose `stages` have been completed leaves."""
    keys = {"train": turn.row.key} | {step.name: step.key for step in turn.row.steps}
    run = study.run_directory(turn)
    run.path.mkdir(parents=True, exist_ok=True)
    run.summary.write_text(f'{{"train": {{"tokens_per_second": {speed}}}}}')
    done: Status = "completed"
    said = {
        name: Stage(key=keys[name], command=name, status=done, reason=None, seconds=1.0, ended="2026-01-31T12:00:00")
        for name in stages
    }
    record = Record(label=turn.row.label, number=turn.repetition, row={}, machine=machine, attempt="a", stages=said)
    record.write(run.path)


def test_a_run_whose_evaluation_is_yet_to_come_is_not_done(tmp_path: Path) -> None:
    """A signal came between the two: its training is kept, but the row has not been completed."""
    plan = planned()
    study = there(tmp_path, plan.rows, repetitions=1)
    first, second = (Turn(row, 1) for row in plan.rows)
    note(study, first, "train")
    note(study, second, "train", "scores")
    results = Results.gather(study, plan)
    assert [outcome.status for outcome in results.outcomes] == [NOT_DONE, "completed"]
    assert results.values(first.row, SPEED) == {}
    assert study.missing() == [first]


def test_an_evaluation_that_is_asked_for_otherwise_now_does_not_count(tmp_path: Path) -> None:
    before = planned()
    for row in before.rows:
        note(there(tmp_path, before.rows), Turn(row, 1), "train", "scores")
    after = planned(splits="[train]")
    results = Results.gather(there(tmp_path, after.rows, repetitions=1), after)
    assert {outcome.status for outcome in results.outcomes} == {NOT_DONE}


def test_runs_of_different_machines_are_not_compared(tmp_path: Path) -> None:
    plan = planned()
    study = there(tmp_path, plan.rows)
    one, two = plan.rows
    for repetition, machine in ((1, "this one"), (2, "another")):
        note(study, Turn(one, repetition), "train", "scores", speed=1.0)
        note(study, Turn(two, repetition), "train", "scores", speed=3.0, machine=machine)
    ratio = Results.gather(study, plan).ratio(two, "one", SPEED)
    assert ratio is not None
    assert ratio.median == pytest.approx(3.0)
    assert ratio.count == 1
    assert Results.gather(replace(study, repetitions=1), plan).ratio(two, "one", SPEED) == ratio


def test_rows_of_other_settings_in_the_same_folder_are_counted(tmp_path: Path) -> None:
    """They are none of this study's as it is asked for now, and still there."""
    plan = planned()
    study = there(tmp_path, plan.rows)
    for row in plan.rows:
        note(study, Turn(row, 1), "train", "scores")
    assert study.other_rows() == 0
    assert there(tmp_path, plan.rows[:1]).other_rows() == 1
    assert there(tmp_path / "new", plan.rows).other_rows() == 0
