"""Medians with their extremes, drawn: lines over a setting, or one row a name."""

from collections.abc import Mapping, Set

from matplotlib.axes import Axes

from lstm_lm.reports.direct_labels import label_lines
from lstm_lm.reports.figure import line, log_axis, names_from_the_top, write
from lstm_lm.reports.palette import BLUE, Ink, ink
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
        draw_line(axes, points, ink(number), label=name)
    log_axis(axes, "x", base=2, ticks=sorted({x for points in drawn.values() for x in points}))
    if log_y:
        log_axis(axes, "y")
    label_lines(axes)


def draw_line(axes: Axes, points: Mapping[float, Measured], ink: Ink, *, label: str) -> None:
    """Medians over x, within a band from the lowest to the highest; of one repetition there is none."""
    xs = sorted(points)
    spread = any(points[x].count > 1 for x in xs)
    low = [points[x].low for x in xs] if spread else None
    high = [points[x].high for x in xs] if spread else None
    line(axes, xs, [points[x].median for x in xs], ink, label=label, low=low, high=high)


def draw_rows(
    axes: Axes, values: Mapping[str, Measured | None], *, pattern: str = "{:,.4g}", hollow: Set[str] = frozenset()
) -> None:
    """One row a name, from the top: the median, a line from the lowest to the highest, and the median in figures.

    The axis begins near the lowest value, not at zero: lengths say nothing here, so that differences show. Of one
    repetition there is no line.

    Args:
        axes: the panel.
        values: by name; None: the row stays empty.
        pattern: of the figures.
        hollow: names whose marks are empty: they count less than the others.
    """
    for place, (name, value) in enumerate(values.items()):
        if value is None:
            continue
        inside = "none" if name in hollow else BLUE
        if value.low < value.high:
            axes.plot([value.low, value.high], [place, place], color=BLUE, linewidth=1.8)
        axes.plot([value.median], [place], color=BLUE, mfc=inside, marker="o", markersize=6, linestyle="none")
        above = {"xytext": (0, 6), "textcoords": "offset points", "ha": "center", "va": "bottom"}
        write(axes, pattern.format(value.median), (value.median, place), color=BLUE, **above)
    names_from_the_top(axes, list(values))
    axes.set_ylim(top=-0.8)  # room for the first figure
    axes.margins(x=0.12)
