"""A section of evaluation.json as a picture."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lstm_lm.reports import figure as look
from lstm_lm.reports.direct_labels import label_lines
from lstm_lm.reports.palette import ink

LOSS = "loss, nats per token"


def draw_evaluation(section: Mapping[str, Any], path: Path) -> None:
    """Write the picture of a method's section.

    Raises:
        RunError: it cannot be written.
    """
    look.save(_PICTURES[section["method"]](section), path)


def _static(section: Mapping[str, Any]) -> Figure:
    """The loss along each split."""
    figure, (axes,) = look.panels(title="")
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


_PICTURES: dict[str, Callable[[Mapping[str, Any]], Figure]] = {"static": _static}
