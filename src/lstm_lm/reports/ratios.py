"""Ratios with the intervals that hold them, drawn: one row each, beside the line where nothing differs."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from lstm_lm.reports.figure import SMALL, log_axis, reference
from lstm_lm.reports.palette import BLUE, GREY, VERMILION
from lstm_lm.reports.spread import Ratio


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
            axes.plot([ratio.low, ratio.high], [place, place], color=color, linewidth=1.6)
        axes.plot([ratio.median], [place], color=color, marker="o", markersize=5, linestyle="none")
    axes.set_yticks(range(len(ratios)), list(ratios))
    axes.set_ylim(len(ratios) - 0.5, -0.5)
    axes.tick_params(axis="y", labelsize=SMALL)
    axes.grid(axis="y", visible=False)
    log_axis(axes, "x", ticks=_ticks(*axes.get_xlim()))
    reference(axes, 1.0, along="x")


def _ticks(low: float, high: float) -> list[float]:
    """Some round ratios between `low` and `high`, 1 among them."""
    wide = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0]
    close = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.4, 1.6, 2.0]
    steps = close if low > 0.45 and high < 2.2 else wide
    return [step for step in steps if low <= step <= high or step == 1.0]
