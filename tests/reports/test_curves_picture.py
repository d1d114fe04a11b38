"""Curves of several runs in one picture."""

import math

import pytest
from matplotlib.colors import to_hex

from lstm_lm.reports.curves import LONGEST_LABEL, MOST_ALL_NAMED, MOST_NAMED, draw_curves
from lstm_lm.reports.palette import GREY, ink
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


def test_of_many_runs_the_best_are_named_and_the_rest_are_grey() -> None:
    """All labels stay in the picture, beside their lines."""
    many = {f"run {number}": {"val": Curve([50.0, 100.0], [2.1, 1.0 + number / 100])} for number in range(19)}
    figure = draw_curves(many)
    figure.draw_without_rendering()
    [axes] = figure.axes
    note, *labels = axes.texts
    assert note.get_text().startswith(f"grey: {19 - MOST_NAMED} others")
    assert {label.get_text() for label in labels} == {f"run {number}" for number in range(MOST_NAMED)}
    assert sum(to_hex(line.get_color()).upper() == GREY for line in axes.get_lines()) >= 19 - MOST_NAMED
    assert min(label.get_window_extent().y0 for label in labels) >= 0
    assert max(label.get_window_extent().y1 for label in labels) <= figure.bbox.y1


def test_of_speeds_the_highest_are_the_best() -> None:
    many = {f"run {number}": {"train": Curve([50.0], [float(number)])} for number in range(MOST_ALL_NAMED + 1)}
    names = {text.get_text() for text in draw_curves(many, metric="tokens_per_second").axes[0].texts}
    assert "run 0" not in names
    assert f"run {MOST_ALL_NAMED}" in names


@pytest.mark.parametrize("label", ["_hidden", "a $x^2$ b $", "x" * 300, "\x1b[2J"])
def test_any_name_can_be_a_label(label: str) -> None:
    figure = draw_curves({label: {"val": SCORED}})
    figure.draw_without_rendering()
    [text] = figure.axes[0].texts
    assert 0 < len(text.get_text()) <= LONGEST_LABEL + 2
