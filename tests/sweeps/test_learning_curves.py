"""How a row's validation loss fell, over its repetitions."""

from pathlib import Path

import pytest
from made_up_study import results

from lstm_lm.sweeps.learning_curves import learning_curve
from lstm_lm.sweeps.page import find_report
from lstm_lm.sweeps.results import Outcome, Results


def measured_in(folder: Path, losses: dict[int, list[tuple[int, float]]]) -> Results:
    """A study of one row and three repetitions, each with the metrics.csv of these steps and losses."""
    found = results("architectures", folder, lambda row, number: {"val": {"loss": 1.0}}, arms=["lstm_steps"])
    outcomes = []
    for outcome in found.outcomes:
        repetition = outcome.turn.repetition
        run = folder / str(repetition)
        run.mkdir()
        rows = [f"{step},{step * repetition},{loss}" for step, loss in losses[repetition]]
        (run / "metrics.csv").write_text("\n".join(["step,train/seconds,val/loss", *rows]) + "\n")
        outcomes.append(Outcome(outcome.turn, run, outcome.record, outcome.summary))
    return Results(found.study, found.plan, outcomes)


def test_repetitions_meet_at_the_same_validations_and_at_the_end(tmp_path: Path) -> None:
    """Within a time limit each ends after another number of steps."""
    found = measured_in(
        tmp_path, {1: [(200, 3.0), (250, 2.0)], 2: [(200, 2.0), (400, 1.5), (430, 1.0)], 3: [(200, 4.0), (300, 3.0)]}
    )
    [row] = found.plan.rows
    curve = learning_curve(found, row, "steps")
    assert list(curve) == [200, 300]
    assert (curve[200].low, curve[200].median, curve[200].high) == (2.0, 3.0, 4.0)
    assert (curve[300].low, curve[300].median, curve[300].high) == (1.0, 2.0, 3.0)
    assert list(learning_curve(found, row, "seconds")) == pytest.approx([400, 860])


def test_one_validation_is_no_curve(tmp_path: Path) -> None:
    found = measured_in(tmp_path, {number: [(200, 2.0)] for number in (1, 2, 3)})
    [row] = found.plan.rows
    assert learning_curve(found, row, "steps") == {}
    assert "architectures_learning" not in find_report("architectures").plots(found)


def test_the_report_draws_them(tmp_path: Path) -> None:
    found = measured_in(tmp_path, {number: [(200, 2.0), (400, 1.5)] for number in (1, 2, 3)})
    picture = find_report("architectures").plots(found)["architectures_learning"]
    [line] = [line for line in picture.axes[0].get_lines() if line.get_label() == "LSTM"]
    assert [float(y) for y in line.get_ydata()] == [2.0, 1.5]
