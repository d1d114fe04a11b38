"""Medians with their extremes, drawn: lines over a setting, or one row a name."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from lstm_lm.reports.direct_labels import label_lines
from lstm_lm.reports.figure import line, log_axis, names_from_the_top, write
from lstm_lm.reports.palette import BLUE, ink
from lstm_lm.reports.spread import Measured


def draw_lines(axes: Axes, series: Mapping[str, Mapping[float, Measured]], *, log_y: bool = False) -> None:
    """One line a name: medians over x, which doubles from tick to tick, within a band from lowest to highest.

    Args:
        axes: the panel.
        series: by name, the points; names without points are left out.
        log_y: y is logarithmic.
    """
    drawn = {name: points for name, points in series.items() if points}
    for number, (name, points) in enumerate(drawn.items()):
        xs = sorted(points)
        line(
            axes,
            xs,
            [points[x].median for x in xs],
            ink(number),
            label=name,
            low=[points[x].low for x in xs],
            high=[points[x].high for x in xs],
        )
    log_axis(axes, "x", base=2, ticks=sorted({x for points in drawn.values() for x in points}))
    if log_y:
        log_axis(axes, "y")
    label_lines(axes)


def draw_rows(axes: Axes, values: Mapping[str, Measured], *, pattern: str = "{:,.4g}") -> None:
    """One row a name, from the top: the median, a line from the lowest to the highest, and the median in figures.

    The axis begins near the lowest value, not at zero: lengths say nothing here, so that differences show.
    """
    for place, value in enumerate(values.values()):
        if value.low < value.high:
            axes.plot([value.low, value.high], [place, place], color=BLUE, linewidth=1.8)
        axes.plot([value.median], [place], color=BLUE, marker="o", markersize=6, linestyle="none")
        above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "va": "bottom"}
        write(axes, pattern.format(value.median), (value.median, place), color=BLUE, **above)
    names_from_the_top(axes, list(values))
    axes.set_ylim(top=-0.8)  # room for the first figure
    axes.margins(x=0.12)
