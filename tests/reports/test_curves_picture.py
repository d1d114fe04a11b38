"""Curves of several runs in one picture."""

import math

import pytest
from matplotlib.colors import to_hex

from lstm_lm.reports.curves import LONGEST_LABEL, draw_curves, short_labels
from lstm_lm.reports.palette import MOST, ink
from lstm_lm.runs.curves import Curve

FALLING = Curve([1.0, 50.0, 100.0], [9.0, 2.0, 1.5])
SCORED = Curve([50.0, 100.0], [2.1, 1.7])


def test_one_color_and_one_label_a_run() -> None:
    figure = draw_curves({"a": {"train": FALLING, "val": SCORED}, "b": {"train": FALLING}})
    [axes] = figure.axes
    assert [to_hex(line.get_color()).upper() for line in axes.get_lines()] == [
        ink(number).color.upper() for number in (0, 0, 1)
    ]
    assert [text.get_text() for text in axes.texts] == ["b", "a"], "from the lowest line up"
    weights = [line.get_linewidth() for line in axes.get_lines()]
    assert weights[1] > weights[0], "validation is bold"


def test_the_steep_beginning_does_not_press_the_rest_together() -> None:
    [axes] = draw_curves({"a": {"train": FALLING, "val": SCORED}}).axes
    low, high = axes.get_ylim()
    assert low < 1.5
    assert 2.1 < high < 3.0


def test_values_that_are_no_numbers_leave_gaps() -> None:
    figure = draw_curves({"a": {"val": Curve([1.0, 2.0, 3.0], [2.0, math.nan, math.inf])}, "b": {"val": Curve([], [])}})
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylim()[1] < 3


def test_logarithmic_axes() -> None:
    [axes] = draw_curves({"a": {"val": SCORED}}, log="both").axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_as_many_runs_as_can_be_told_apart() -> None:
    figure = draw_curves({f"run {number}": {"val": SCORED} for number in range(MOST)})
    figure.draw_without_rendering()
    boxes = sorted(text.get_window_extent().y0 for text in figure.axes[0].texts)
    assert len(boxes) == MOST
    assert boxes[0] >= 0
    assert figure.axes[0].texts[-1].get_window_extent().y1 <= figure.bbox.y1


@pytest.mark.parametrize("label", ["_hidden", "a $x^2$ b $", "x" * 300, "\x1b[2J"])
def test_any_name_can_be_a_label(label: str) -> None:
    figure = draw_curves({label: {"val": SCORED}})
    figure.draw_without_rendering()
    [text] = figure.axes[0].texts
    assert 0 < len(text.get_text()) <= LONGEST_LABEL + 2


def test_labels_leave_out_what_all_paths_share() -> None:
    assert short_labels(["sweeps/x/1_a", "sweeps/x/2_b"]) == ["1_a", "2_b"]
    assert short_labels(["sweeps/x/1", "2026"]) == ["sweeps/x/1", "2026"]
    assert short_labels(["sweeps/x/1"]) == ["1"]
    assert short_labels(["a/b", "a/b/c"]) == ["b", "b/c"]
