"""A section of evaluation.json as a picture."""

import math
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lstm_lm.reports import figure as look
from lstm_lm.reports.direct_labels import GAP, POINTS_PER_INCH, label_lines
from lstm_lm.reports.palette import GREY, Ink, ink
from lstm_lm.reports.spread import student_quantile

LOSS = "loss, nats per token"


def draw_evaluation(section: Mapping[str, Any], path: Path) -> bool:
    """Write the picture of a method's section; whether there is one, as there is for this project's own methods.

    Raises:
        RunError: it cannot be written.
    """
    draw = _PICTURES.get(section["method"])
    if draw is None:
        return False
    look.save(draw(section), path)
    return True


def _static(section: Mapping[str, Any]) -> Figure:
    """The loss along each split."""
    figure, (axes,) = look.panels()
    for place, (split, scores) in enumerate(section["splits"].items()):
        losses = scores["blocks"]["losses"]
        middles = [100 * (number + 0.5) / len(losses) for number in range(len(losses))]
        bounds = scores["loss_interval"]
        low, high = ([bound] * len(losses) for bound in bounds) if bounds else (None, None)
        look.line(axes, middles, losses, ink(place), label=f"{split} {scores['loss']:.3f}", low=low, high=high)
    axes.set_xlim(0, 100)
    look.describe(axes, title="static: loss along the text; shaded: 95 % of the mean", x="% of the split", y=LOSS)
    label_lines(axes)
    return figure


def _dynamic(section: Mapping[str, Any]) -> Figure:
    """The loss along the text, with and without learning from it."""
    figure, (axes,) = look.panels()
    for place, (name, key) in enumerate((("static", "static_losses"), ("dynamic", "losses"))):
        losses = section["blocks"][key]
        middles = [100 * (number + 0.5) / len(losses) for number in range(len(losses))]
        look.line(axes, middles, losses, ink(place), label=name)
    axes.set_xlim(0, 100)
    title = f"dynamic: {section['static_loss']:.3f} becomes {section['loss']:.3f} nats per token"
    look.describe(axes, title=title, x=f"% of the {section['split']} text", y=LOSS)
    label_lines(axes)
    return figure


def draw_contexts(sections: Mapping[str, Mapping[str, Any]], *, title: str = "") -> Figure:
    """What each of several runs loses by a shorter context, a line a run.

    Args:
        sections: by each run's label, its section of `method=context`.
        title: above the picture.
    """
    height = max(1.1 * look.HEIGHT, GAP * (len(sections) + 7) / POINTS_PER_INCH)
    figure, (axes,) = look.panels(height=height)
    for number, (label, section) in enumerate(sections.items()):
        _draw_excess(axes, section, ink(number), label)
    lengths = sorted({point["length"] for section in sections.values() for point in section["curve"]})
    look.log_axis(axes, "y")
    look.log_axis(axes, "x", base=2, ticks=lengths)
    look.describe(axes, title=title, x="tokens of context", y="nats per token above\neach run's full context")
    label_lines(axes, at_the_edge=True)
    return figure


def _draw_excess(axes: Axes, section: Mapping[str, Any], ink: Ink, label: str = "") -> None:
    """The loss above that of the full context, by length, as far as it is above; the interval is of that difference."""
    points = [point for point in section["curve"] if point["excess"] > 0]
    least = min([point["excess"] for point in points], default=0.0) / 3
    lengths, lost = [point["length"] for point in points], [point["excess"] for point in points]
    bounds = [point["excess_interval"] for point in points]
    low, high = ([max(bound[side], least) for bound in bounds] if all(bounds) else None for side in (0, 1))
    look.line(axes, lengths, lost, ink, label=label, low=low, high=high)


def _context(section: Mapping[str, Any]) -> Figure:
    """What is lost by a shorter context; on a logarithmic axis, so that what the last tokens bring shows, too."""
    figure, (axes,) = look.panels()
    full, curve = section["full_context_loss"], section["curve"]
    allowed = full * section["tolerance"]
    _draw_excess(axes, section, ink(0))
    look.log_axis(axes, "y")
    look.log_axis(axes, "x", base=2, ticks=[point["length"] for point in curve])
    look.reference(axes, allowed, label=f"{section['tolerance']:.0%} of the loss")
    effective = section["effective_context"]
    look.reference(axes, effective, along="x", label=f"effective context: {effective:,}")
    title = f"context: loss above {full:.3f} nats, that with {section['full_context']:,} tokens"
    look.describe(axes, title=title, x=f"tokens of context ({section['split']} text)", y="nats per token more")
    return figure


def _sampling(section: Mapping[str, Any]) -> Figure:
    """The time of a token along the text: points, since what moves between them is the machine's doing, and their mean
    with its interval."""
    figure, (axes,) = look.panels()
    parts = section["parts"]
    axes.plot(parts["ends"], parts["token_ms"], color=ink(0).color, marker="o", markersize=5, linestyle="none")
    mean, count = 1000 / section["tokens_per_second"], len(parts["token_ms"])
    look.reference(axes, mean)
    if count > 1:
        half = student_quantile(count - 1) * statistics.stdev(parts["token_ms"]) / math.sqrt(count)
        axes.axhspan(mean - half, mean + half, color=GREY, alpha=look.BAND, linewidth=0)
    axes.set_ylim(bottom=0)
    title = f"sampling: {section['tokens_per_second']:,.0f} tokens per second, the line; shaded: 95 % of the mean"
    look.describe(axes, title=title, x="tokens written", y="ms per token")
    return figure


_PICTURES: dict[str, Callable[[Mapping[str, Any]], Figure]] = {
    "static": _static,
    "dynamic": _dynamic,
    "context": _context,
    "sampling": _sampling,
}
