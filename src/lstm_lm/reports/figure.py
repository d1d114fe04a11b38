"""Every picture of this project has this look: no background, few lines, labels at the lines, a size that is stable.

Shown as wide as a page of text is, its letters are as large as the text's, and can be read at half of that. The
benchmarks draw with it, too. Matplotlib's objects without pyplot: no state of the process, no window, and the same on a
machine without a display.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from lstm_lm.reports.palette import GREY, Ink
from lstm_lm.runs import atomic

DPI = 160
"""Pixels per inch of a PNG."""
WIDTH = 7.5
HEIGHT = 3.6
"""Size of a picture of one panel, its labels included, in inches; a page of text is about as wide."""
SMALL, NORMAL = 10, 11
"""Font sizes, points."""
BAND = 0.15
"""Opacity of a spread around a line."""
_UNTOLD: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}
_MARKED = 40
"""Lines of at most this many points show each."""


def panels(
    rows: int = 1,
    columns: int = 1,
    *,
    width: float = WIDTH,
    height: float = HEIGHT,
    title: str = "",
    share_x: bool = False,
    share_y: bool = False,
) -> tuple[Figure, list[Axes]]:
    """An empty figure and its panels, row by row.

    Args:
        rows: of panels.
        columns: of panels.
        width: of the picture, whatever the number of panels; inches.
        height: of the picture; inches.
        title: above all panels.
        share_x: all panels have the same horizontal axis.
        share_y: all panels have the same vertical axis.
    """
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="none")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
    found: list[Axes] = list(grid.flat)
    for axes in found:
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GREY)
        axes.grid(axis="y", color=GREY, alpha=0.25)
        axes.tick_params(labelsize=SMALL, colors=GREY)
        axes.xaxis.set_major_formatter(_plain)
        axes.yaxis.set_major_formatter(_plain)
    if title:
        figure.suptitle(title, fontsize=NORMAL, color=GREY)
    return figure, found


def describe(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Say what a panel shows: `x` and `y` name the axes' quantities, with their units."""
    axes.set_title(title, fontsize=NORMAL, loc="left", color=GREY)
    axes.set_xlabel(x, fontsize=NORMAL, color=GREY)
    axes.set_ylabel(y, fontsize=NORMAL, color=GREY)


def line(
    axes: Axes,
    x: Sequence[float],
    y: Sequence[float],
    ink: Ink,
    *,
    label: str = "",
    low: Sequence[float] | None = None,
    high: Sequence[float] | None = None,
    weight: float = 1.8,
    opacity: float = 1.0,
    marked: bool = True,
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
        marked: False: no marks, however few points there are.
    """
    marker = "o" if marked and len(x) <= _MARKED else ""
    name = label or "_unnamed"  # an underscore keeps it out of legends
    axes.plot(x, y, **ink._asdict(), marker=marker, markersize=4, linewidth=weight, alpha=opacity, label=name)
    if low is not None and high is not None:
        axes.fill_between(x, low, high, color=ink.color, alpha=BAND, linewidth=0)


def reference(axes: Axes, value: float, *, along: Literal["x", "y"] = "y", label: str = "") -> None:
    """A thin line at `value` of the axis `along`: what others are compared with. `label` is written beside it."""
    style: dict[str, Any] = {"color": GREY, "linewidth": 1.0, "zorder": 1}
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
        write(axes, label, place, xycoords=across, textcoords="offset points", **beside)


def write(axes: Axes, text: str, place: tuple[float, float], **how: Any) -> None:
    """Text beside or at a place of the panel; `how` goes to matplotlib's `annotate`."""
    axes.annotate(text, place, **{"fontsize": SMALL, "color": GREY, "annotation_clip": False, **how})


def names_from_the_top(axes: Axes, names: Sequence[str]) -> None:
    """Make the vertical axis a list: one row a name, row 0 at the top."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)  # not inverted: panels may share this axis
    axes.tick_params(axis="y", labelsize=SMALL, length=0)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=GREY, alpha=0.25)


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
    """Write the picture, all or nothing: a PNG, or a PDF or SVG where the path ends so.

    Its size follows from the panels alone, not from what is drawn. `new`: nothing may be there yet.

    Raises:
        RunError: the file cannot be written.
    """
    image = io.BytesIO()
    # Without the date and the version of matplotlib in it, the same picture is the same file.
    kind = path.suffix.lower().lstrip(".") or "png"
    with rc_context({"svg.hashsalt": "lstm-lm"}):
        figure.savefig(image, format=kind, dpi=DPI, transparent=True, metadata=_UNTOLD[kind])
    atomic.write_bytes(path, image.getvalue(), new=new)


def _plain(value: float, _position: object) -> str:
    """`1,024`, `0.5`, `2e+06` from a million on and `1e-05` below a ten-thousandth."""
    return f"{value:,.0f}" if value == round(value) and abs(value) < 1_000_000 else f"{value:g}"
