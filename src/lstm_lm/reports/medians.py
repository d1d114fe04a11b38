"""Medians with their extremes, drawn: lines over a setting, bars side by side."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from lstm_lm.reports.direct_labels import label_lines
from lstm_lm.reports.figure import SMALL, line, log_axis
from lstm_lm.reports.palette import BLACK, GREY, ink
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


def draw_bars(axes: Axes, values: Mapping[str, Measured]) -> None:
    """One horizontal bar a name, from the top: the median, with a thin line from the lowest to the highest."""
    names = list(values)
    found = list(values.values())
    errors = [[value.median - value.low for value in found], [value.high - value.median for value in found]]
    colors = [ink(number).color for number in range(len(names))]
    places = range(len(names))
    axes.barh(places, [value.median for value in found], xerr=errors, color=colors, ecolor=BLACK, capsize=2, height=0.6)
    axes.set_yticks(places, names)  # given to barh, the names would get the format of the panel's numbers
    axes.set_ylim(len(names) - 0.5, -0.5)  # not inverted: panels may share this axis
    axes.tick_params(axis="y", labelsize=SMALL)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=GREY, alpha=0.25)
