"""Curves of several runs in one picture: a color a run, validation bold, training pale."""

import math
from collections.abc import Mapping
from typing import Literal

from matplotlib.figure import Figure

from lstm_lm.printable import printable
from lstm_lm.reports.direct_labels import GAP, POINTS_PER_INCH, label_lines
from lstm_lm.reports.figure import HEIGHT, describe, line, log_axis, panels, write
from lstm_lm.reports.palette import GREY, Ink, ink
from lstm_lm.runs.curves import Curve

Log = Literal["none", "x", "y", "both"]

LONGEST_LABEL = 40
MOST_ALL_NAMED, MOST_NAMED = 8, 6
"""Up to so many runs have a colour and a label each; of more, so many of the best."""
HIGHER_IS_BETTER = ("tokens_per_second",)
_OTHERS = Ink(GREY, "solid")
UNITS = {
    "loss": "loss, nats per token",
    "bits_per_byte": "bits per byte",
    "bits_per_character": "bits per character",
    "tokens_per_second": "tokens per second",
    "step_ms": "milliseconds per step",
}
PLACES = {"steps": "optimizer steps", "tokens": "tokens trained on", "seconds": "seconds of training"}
_LINES = {"train": (0.9, 0.4), "val": (1.8, 1.0)}
"""Weight in points and opacity of a split's line."""
_FIRST_SHARE = 0.05
"""Share of a curve that is its steep beginning, which sets no limit to the axis."""
_MARGIN = 0.05
_LINES_BELOW = 7
"""Room for the title and the horizontal axis; lines of text."""


def draw_curves(
    runs: Mapping[str, Mapping[str, Curve]],
    *,
    metric: str = "loss",
    over: str = "steps",
    log: Log = "none",
    title: str = "",
) -> Figure:
    """The picture.

    Args:
        runs: by each run's label, its curves by split (`train`, `val`).
        metric: what the curves show, the part of their column's name after `train/` or `val/`.
        over: what their `x` are: `steps`, `tokens` or `seconds`.
        log: axes that are logarithmic.
        title: above the picture.
    """
    named = _named(runs, highest=metric in HIGHER_IS_BETTER)
    height = max(1.1 * HEIGHT, GAP * (len(named) + _LINES_BELOW) / POINTS_PER_INCH)
    figure, [axes] = panels(height=height)
    splits = {split for curves in runs.values() for split in curves}
    if len(named) < len(runs):
        splits = {_told_by(curves) for curves in runs.values()}
    for label, curves in runs.items():
        if label not in named:
            curve = curves[_told_by(curves)]
            line(axes, curve.x, curve.y, _OTHERS, marked=False, weight=_LINES["train"][0], opacity=0.5)
    for number, label in enumerate(named):
        curves = runs[label]
        shown = curves if len(named) == len(runs) else {_told_by(curves): curves[_told_by(curves)]}
        for split, curve in shown.items():
            weight, opacity = _LINES[split] if len(splits) > 1 else _LINES["val"]
            name = _shortened(printable(label)) if split == _told_by(curves) else ""
            line(axes, curve.x, curve.y, ink(number), label=name, marked=opacity == 1, weight=weight, opacity=opacity)
    for which in ("x", "y"):
        if log in (which, "both"):
            log_axis(axes, which)
    if (limits := _limits(runs, log in ("y", "both"))) is not None:
        axes.set_ylim(*limits)
    both = "validation bold, training pale" if len(splits) > 1 else {"val": "validation", "train": "training"}
    said = both if isinstance(both, str) else both[min(splits)]
    describe(axes, title=title, x=PLACES[over], y=f"{UNITS.get(metric, metric.replace('_', ' '))}\n({said})")
    if others := len(runs) - len(named):
        note = f"grey: {others} others, which end {'lower' if metric in HIGHER_IS_BETTER else 'higher'}"
        write(axes, note, (1, 1), xycoords="axes fraction", ha="right", va="bottom")
    label_lines(axes, at_the_edge=True)
    return figure


def _named(runs: Mapping[str, Mapping[str, Curve]], *, highest: bool) -> list[str]:
    """The runs that are told apart, in their own order: all, or where they are many, those that end best."""
    if len(runs) <= MOST_ALL_NAMED:
        return list(runs)

    def end(label: str) -> float:
        values = [y for y in runs[label][_told_by(runs[label])].y if math.isfinite(y)]
        return (-values[-1] if highest else values[-1]) if values else math.inf

    best = sorted(runs, key=end)[:MOST_NAMED]
    return [label for label in runs if label in best]


def _told_by(curves: Mapping[str, Curve]) -> str:
    """The split that stands for a run."""
    return "val" if "val" in curves else "train"


def _shortened(label: str) -> str:
    # A name that begins with an underscore would stay out of the labels, and two dollar signs would begin a formula.
    label = label.replace("$", r"\$").removeprefix("_") or "run"
    if len(label) <= LONGEST_LABEL:
        return label
    half = LONGEST_LABEL // 2 - 1
    return f"{label[:half]} … {label[-half:]}"


def _limits(runs: Mapping[str, Mapping[str, Curve]], logarithmic: bool) -> tuple[float, float] | None:
    """From the lowest value to the highest, but for the steep beginnings, which would press all the rest together."""
    values: list[float] = []
    rest: list[float] = []
    for curves in runs.values():
        for curve in curves.values():
            begins = _FIRST_SHARE * max(curve.x, default=0.0)
            finite = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(y)]
            values += [y for _, y in finite]
            rest += [y for x, y in finite if x >= begins]
    if not rest or logarithmic:
        return None
    low, high = min(values), max(rest)
    margin = _MARGIN * ((high - low) or abs(high) or 1.0)
    return low - margin, high + margin
