"""Every picture of this project has this look: white, few lines, labels at the lines, a stable size in pixels.

Matplotlib's objects without pyplot: no state of the process, no window, and the same on a machine without a display.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from lstm_lm.reports.palette import BLACK, GREY, Ink
from lstm_lm.runs import atomic

DPI = 110
"""Pixels per inch of a PNG."""
PANEL_WIDTH = 6.6
PANEL_HEIGHT = 3.6
"""Size of one panel, its labels included, in inches."""
SMALL, NORMAL = 8, 10
"""Font sizes, points."""
BAND = 0.15
"""Opacity of a spread around a line."""
_MARKED = 40
"""Lines of at most this many points show each."""


def panels(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = PANEL_WIDTH,
    height: float = PANEL_HEIGHT,
    title: str = "",
    share_x: bool = False,
    share_y: bool = False,
) -> tuple[Figure, list[Axes]]:
    """An empty figure and its panels, row by row.

    Args:
        rows: of panels.
        columns: of panels.
        width: of one panel, its labels included; inches.
        height: of one panel, its labels included; inches.
        title: above all panels.
        share_x: all panels have the same horizontal axis.
        share_y: all panels have the same vertical axis.
    """
    figure = Figure(figsize=(width * columns, height * rows), dpi=DPI, layout="constrained", facecolor="white")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
    found: list[Axes] = list(grid.flat)
    for axes in found:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color=GREY, alpha=0.25)
        axes.tick_params(labelsize=SMALL)
        axes.xaxis.set_major_formatter(_plain)
        axes.yaxis.set_major_formatter(_plain)
    if title:
        figure.suptitle(title, fontsize=NORMAL)
    return figure, found


def describe(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Say what a panel shows: `x` and `y` name the axes' quantities, with their units."""
    axes.set_title(title, fontsize=NORMAL, loc="left")
    axes.set_xlabel(x, fontsize=NORMAL)
    axes.set_ylabel(y, fontsize=NORMAL)


def line(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    ink: Ink,
    *,
    label: str = "",
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    weight: float = 1.6,
    opacity: float = 1.0,
) -> None:
    """Draw a line, with a mark at each point where there are few, and a band from `low` to `high` where given.

    Args:
        axes: the panel.
        x: places of the points.
        y: values there (a spread's middle).
        ink: see `palette.ink`.
        label: names the line in a legend and for `direct_labels.label_lines`; "": unnamed.
        low: lower end of the spread at each point.
        high: upper end of the spread at each point.
        weight: the line's width; points.
        opacity: of the line; 0 to 1.
    """
    marker = "o" if len(x) <= _MARKED else ""
    name = label or "_unnamed"  # an underscore keeps it out of legends
    axes.plot(x, y, **ink._asdict(), marker=marker, markersize=3, linewidth=weight, alpha=opacity, label=name)
    if low is not None and high is not None:
        axes.fill_between(x, low, high, color=ink.color, alpha=BAND, linewidth=0)


def reference(axes: Axes, value: float, *, along: Literal["x", "y"] = "y", label: str = "") -> None:
    """A thin line at `value` of the axis `along`: what others are compared with. `label` is written beside it."""
    style: dict[str, Any] = {"color": BLACK, "linewidth": 0.8, "zorder": 1}
    beside: dict[str, Any]
    if along == "y":
        axes.axhline(value, **style)
        place, across = (0.0, value), axes.get_yaxis_transform()
        beside = {"xytext": (4, 2), "ha": "left", "va": "bottom"}
    else:
        axes.axvline(value, **style)
        place, across = (value, 1.0), axes.get_xaxis_transform()
        beside = {"xytext": (2, -2), "ha": "left", "va": "top"}
    if label:
        axes.annotate(label, place, xycoords=across, textcoords="offset points", fontsize=SMALL, **beside)


def log_axis(axes: Axes, which: Literal["x", "y"], *, base: float = 10, ticks: Sequence[float] | None = None) -> None:
    """Make an axis logarithmic, with plain numbers at its ticks: 0.5, 2, 1,024.

    Args:
        axes: the panel.
        which: its axis.
        base: of the logarithm: 2 for what is doubled, 10 for the rest.
        ticks: where to put them; None: at powers of the base, and between those of 10 where there are few.
    """
    if which == "x":
        axes.set_xscale("log", base=base)
    else:
        axes.set_yscale("log", base=base)
    axis = axes.xaxis if which == "x" else axes.yaxis
    if ticks is not None:
        axis.set_ticks(list(ticks))
    elif base == 10:
        axis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axis.set_major_formatter(_plain)
    axis.set_minor_locator(NullLocator())


def save(figure: Figure, path: Path, *, new: bool = False) -> None:
    """Write the PNG, all or nothing; its size in pixels follows from the panels alone, not from what is drawn.

    `new`: nothing may be there yet.

    Raises:
        RunError: the file cannot be written.
    """
    image = io.BytesIO()
    # Without the version of matplotlib in it, the same picture is the same file.
    figure.savefig(image, format="png", dpi=DPI, facecolor="white", metadata={"Software": None})
    atomic.write_bytes(path, image.getvalue(), new=new)


def _plain(value: float, _position: object) -> str:
    """`1,024`, `0.5`, `2e+06` from a million on and `1e-05` below a ten-thousandth."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1_000_000 else f"{value:g}"
