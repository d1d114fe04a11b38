"""Names at the right ends of lines, in their colours, instead of a legend that the eye must look up."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from lstm_lm.reports.figure import SMALL, write

GAP = 1.35 * SMALL
"""From one label's middle to the next, in points."""
_BESIDE = 6
"""From a line's end to its label, in points."""
POINTS_PER_INCH = 72


def label_lines(axes: Axes, *, at_the_edge: bool = False) -> None:
    """Write each named line's label beside its last point, moved up or down as little as keeps labels apart.

    Call it last: it goes by the axes' limits as they are now.

    Args:
        axes: the panel.
        at_the_edge: labels stand right of the panel, where no other line goes on through them, each with a thin line
            to its own.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # computes the layout, and with it the height of the panel
    lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_") and _end(line)]
    height = axes.get_window_extent().height / figure.dpi * POINTS_PER_INCH
    places = [_height_of(axes, line) * height for line in lines]
    order = sorted(range(len(lines)), key=places.__getitem__)
    spread_out = spread([places[number] for number in order], GAP, 0.0, height)
    for number, place in zip(order, spread_out, strict=True):
        line, end = lines[number], _end(lines[number])
        assert end is not None
        color = line.get_color()
        if at_the_edge:
            leader = {
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.7,
                "alpha": 0.7,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 0,
            }
            to = {"xytext": (1.05, place / height), "textcoords": "axes fraction", "arrowprops": leader}
            write(axes, str(line.get_label()), end, color=color, va="center", **to)
        else:
            beside = {"xytext": (_BESIDE, place - places[number]), "textcoords": "offset points"}
            write(axes, str(line.get_label()), end, color=color, va="center", **beside)


def spread(places: Sequence[float], gap: float, lowest: float, highest: float) -> list[float]:
    """The places nearest to `places` (in least squares), in the same order, that are at least `gap` apart.

    All lie within `lowest` and `highest`, unless there are more than fit: then they continue above.

    Isotonic regression by pooling adjacent violators (Ayer et al., 1955), of the places less what the gaps take.
    """
    pools: list[tuple[float, int]] = []  # mean and number of labels that stand as close as they may
    for number, place in enumerate(places):
        mean, count = place - number * gap, 1
        while pools and pools[-1][0] > mean:
            before, of = pools.pop()
            mean, count = (before * of + mean * count) / (of + count), of + count
        pools.append((mean, count))
    top = max(lowest, highest - (len(places) - 1) * gap)
    free = [min(max(mean, lowest), top) for mean, count in pools for _ in range(count)]
    return [place + number * gap for number, place in enumerate(free)]


def _end(line: Line2D) -> tuple[float, float] | None:
    """The last point that can be drawn."""
    points: list[list[float]] = np.asarray(line.get_xydata()).tolist()
    for x, y in reversed(points):
        if math.isfinite(x) and math.isfinite(y):
            return x, y
    return None


def _height_of(axes: Axes, line: Line2D) -> float:
    """Height of a line's last point, as a share of the panel's."""
    end = _end(line)
    assert end is not None
    pixels = axes.transData.transform(end)
    return float(axes.transAxes.inverted().transform(pixels)[1])
