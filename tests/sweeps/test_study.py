"""Running what is missing of a study, with a stand-in for the processes: what counts as done, and for what."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from quick_compose import composed
from test_arms import study as options

from lstm_lm.errors import RunError
from lstm_lm.runs import code_version as code_version_module
from lstm_lm.runs.code_version import code_version
from lstm_lm.sweeps import fresh_process, rows
from lstm_lm.sweeps.fresh_process import Ended
from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.rows import Plan, make_plan
from lstm_lm.sweeps.stopping import StopRequest
from lstm_lm.sweeps.study import Study


class Silent:
    """Tells nobody."""

    def begin(self, *_: Any) -> None: ...

    def end(self, *_: Any) -> None: ...


class Processes:
    """Stand-ins: each leaves a summary; what they were given."""

    def __init__(self) -> None:
        self.given: list[Sequence[str]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self, arguments: Sequence[str], *_: Any) -> Ended:
        self.given.append(arguments)
        run = Path(arguments[-1].partition("=")[2])
        (run / "summary.json").write_text(json.dumps({"val": {"loss": float(len(self.given))}}))
        self.meanwhile()
        return Ended("done", None, 1.0)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Processes:
    stand_in = Processes()
    monkeypatch.setattr(fresh_process, "run", stand_in)
    return stand_in


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be")
    return path


def planned(text: Path, **typed: str) -> Plan:
    """Two rows, of one and two layers."""
    arms = {"all": {"settings": {}, "sweep": {"model.num_layers": [1, 2]}}}
    given = {"data": "data=text", "data.path": f"data.path={text}", "data.cache_dir": f"data.cache_dir={text.parent}/c"}
    lines = {key: [line] for key, line in {**given, **typed}.items()}
    return make_plan(options(arms=arms), lines, composed)


def run(plan: Plan, folder: Path) -> Study:
    study = Study(folder, plan.rows, repetitions=1, order_seed=1, timeout=60.0, machine="this one")
    study.run(StopRequest(), Silent())
    return study


def losses(study: Study, plan: Plan) -> list[float]:
    return sorted(outcome.figure("val.loss") for outcome in Results.gather(study, plan).outcomes)


def test_rows_of_an_edited_text_are_run_again_and_not_reported_together(
    text: Path, processes: Processes, tmp_path: Path
) -> None:
    before = run(planned(text), tmp_path / "study")
    assert losses(before, planned(text)) == [1.0, 2.0]
    run(planned(text), tmp_path / "study")
    assert len(processes.given) == 2, "all is done"
    text.write_text("to be or not to me")
    after = planned(text)
    named = Study(tmp_path / "study", after.rows, 1, 1, 60.0, "this one").changed()
    assert [line.partition(":")[0] for line in named] == ["text train"]
    study = run(after, tmp_path / "study")
    assert len(processes.given) == 4
    assert losses(study, after) == [3.0, 4.0]
    assert study.other_rows() == 2, "those of the other text are kept"
    text.write_text("to be or not to be")
    assert losses(run(planned(text), tmp_path / "study"), planned(text)) == [1.0, 2.0]
    assert len(processes.given) == 4, "and are found again"


def test_rows_of_a_moved_text_are_done(text: Path, processes: Processes, tmp_path: Path) -> None:
    run(planned(text), tmp_path / "study")
    moved = text.rename(tmp_path / "moved.txt")
    run(planned(moved), tmp_path / "study")
    assert len(processes.given) == 2


def test_rows_of_other_code_or_settings_are_run_again(
    text: Path, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(planned(text), tmp_path / "study")
    slower = planned(text, precision="precision=64-true")
    assert (
        "precision.name: auto then, 64-true now"
        in run(slower, tmp_path / "new").changed()
        + Study(tmp_path / "study", slower.rows, 1, 1, 60.0, "this one").changed()
    )
    run(slower, tmp_path / "study")
    monkeypatch.setattr(rows, "code_version", lambda: code_version() | {"source": "edited"})
    run(planned(text), tmp_path / "study")
    assert len(processes.given) == 2 + 2 + 2 + 2


def test_a_text_that_is_edited_while_a_row_runs_makes_no_result(
    text: Path, processes: Processes, tmp_path: Path
) -> None:
    """Nobody can say which text it read; and the rows after it would be of another one."""
    processes.meanwhile = lambda: text.write_text("to be or not to me")
    plan = planned(text)
    with pytest.raises(RunError, match="text train: changed since this began"):
        run(plan, tmp_path / "study")
    assert len(processes.given) == 1
    found = Results.gather(Study(tmp_path / "study", plan.rows, 1, 1, 60.0, "this one"), plan)
    assert sorted(outcome.status for outcome in found.outcomes) == ["failed", "not done"]


def test_neither_does_a_row_whose_source_is_edited_meanwhile(
    text: Path, processes: Processes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have computed with either; under its key both would be taken for one."""
    processes.meanwhile = lambda: monkeypatch.setattr(code_version_module, "_source_now", lambda: "edited")
    plan = planned(text)
    with pytest.raises(RunError, match="the program's source: changed since this began"):
        run(plan, tmp_path / "study")
    assert len(processes.given) == 1
