"""Every study of `conf/study`, in both sizes: its rows are accepted, and its comparisons find their rows."""

import pytest
from quick_compose import compose, composed
from tiers import first

from lstm_lm.cli.hydra.conf import options_of
from lstm_lm.cli.main import VERBS
from lstm_lm.sweeps.options import StudyOptions
from lstm_lm.sweeps.page import find_report
from lstm_lm.sweeps.rows import make_plan
from lstm_lm.training.config import TrainConfig


@pytest.mark.parametrize("size", first(["small", "full"]))
@pytest.mark.parametrize("name", options_of("study"))
def test_every_row_is_accepted_and_every_baseline_is_found(name: str, size: str) -> None:
    study = StudyOptions.read(compose(f"study={name}", f"study.size={size}")["study"])
    assert study.name == name
    assert study.dir == f"outputs/studies/{name}/{size}"
    assert study.repetitions >= 3, "fewer say nothing of noise"
    plan = make_plan(study, {}, composed)
    assert len(plan.rows) > 1
    for row in plan.rows:
        TrainConfig.parse(row.config)
    for baseline, found in plan.baselines.items():
        assert any(row != other for row, other in found.items()), baseline
    assert {step.verb for step in study.steps.values()} <= set(VERBS)


@pytest.mark.parametrize("name", options_of("study"))
def test_every_study_has_its_report(name: str) -> None:
    report = find_report(name)
    assert report.title
    assert report.columns
