"""How the validation loss of a row fell while it trained, over its repetitions."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from lstm_lm.errors import UserError
from lstm_lm.reports.spread import Measured, measured
from lstm_lm.runs.curves import Curve, Over, read_curves
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.rows import Row

METRIC, SPLIT = "loss", "val"


def learning_curve(results: Results, row: Row, over: Over) -> dict[float, Measured]:
    """The loss by steps, tokens or seconds; empty where the runs' metrics.csv have none, or only the last one.

    The repetitions of a row validate after the same steps, and so the n-th validations go together, at the median of
    their places; so do the last ones, which come where a run ends.
    """
    curves = [curve for run in results.of(row) if run.status == "completed" and (curve := _read(run.directory, over))]
    shared = min((len(curve.x) for curve in curves), default=0)
    if shared < 2:
        return {}
    return dict(_point(curves, number) for number in [*range(shared - 1), -1])


def _read(directory: Path, over: Over) -> Curve | None:
    try:
        return read_curves(RunDirectory(directory), METRIC, over).get(SPLIT)
    except UserError:  # of a study that is kept, only the table is there
        return None


def _point(curves: Sequence[Curve], number: int) -> tuple[float, Measured]:
    value = measured({repetition: curve.y[number] for repetition, curve in enumerate(curves)})
    assert value is not None
    return statistics.median(curve.x[number] for curve in curves), value
