"""Ratios with the intervals that hold them, drawn: one row each, beside the line where nothing differs."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from lstm_lm.reports.figure import log_axis, names_from_the_top, reference
from lstm_lm.reports.palette import BLUE, GREY, VERMILION
from lstm_lm.reports.spread import Ratio

_MOST_TICKS = 5
_STEPS = (
    [0.8, 0.9, 1.0, 1.1, 1.2],
    [0.6, 0.8, 1.0, 1.2, 1.4, 1.6],
    [0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 4.0],
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0],
    [0.01, 0.1, 1.0, 10.0, 100.0],
)
"""Ticks of an axis, from the closest together."""


def draw_ratios(axes: Axes, ratios: Mapping[str, Ratio | None], *, higher_is_better: bool) -> None:
    """One row a name, from the top: the median, and a line over the interval; grey where that covers 1.

    Args:
        axes: the panel; its horizontal axis becomes logarithmic.
        ratios: by name; None: the row stays empty.
        higher_is_better: which side is blue; the other one is red.
    """
    for place, ratio in enumerate(ratios.values()):
        if ratio is None:
            continue
        better = (ratio.median > 1) == higher_is_better
        color = GREY if not ratio.differs else BLUE if better else VERMILION
        if ratio.low is not None and ratio.high is not None:
            axes.plot([ratio.low, ratio.high], [place, place], color=color, linewidth=1.8)
        axes.plot([ratio.median], [place], color=color, marker="o", markersize=6, linestyle="none")
    names_from_the_top(axes, list(ratios))
    log_axis(axes, "x", ticks=ratio_ticks(*axes.get_xlim()))
    reference(axes, 1.0, along="x")


def ratio_ticks(low: float, high: float) -> list[float]:
    """A few round ratios between `low` and `high`, 1 among them."""
    for steps in _STEPS:
        found = [step for step in steps if low <= step <= high or step == 1.0]
        if steps[0] <= 1.5 * low and high <= 1.3 * steps[-1] and len(found) <= _MOST_TICKS:
            break
    return found
