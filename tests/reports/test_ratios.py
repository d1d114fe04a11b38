"""Ratios as they are drawn: few round ticks, and grey where nothing differs."""

import pytest

from lstm_lm.reports.figure import panels
from lstm_lm.reports.palette import BLUE, GREY, VERMILION
from lstm_lm.reports.ratios import draw_ratios, ratio_ticks
from lstm_lm.reports.spread import Ratio


@pytest.mark.parametrize(("low", "high"), [(0.98, 1.03), (0.85, 1.6), (0.42, 1.8), (0.9, 4.0), (0.05, 40.0)])
def test_an_axis_has_a_few_ticks_and_one_at_1(low: float, high: float) -> None:
    found = ratio_ticks(low, high)
    assert 1.0 in found
    assert len(found) <= 5
    assert len(found) >= 3 or high < 1.1


def test_colours_say_what_is_better_and_what_is_noise() -> None:
    _, [axes] = panels()
    ratios = {"better": Ratio(2.0, 1.8, 2.2, 3), "worse": Ratio(0.5, 0.4, 0.6, 3), "noise": Ratio(1.1, 0.9, 1.3, 3)}
    draw_ratios(axes, {**ratios, "missing": None}, higher_is_better=True)
    medians = [line.get_color() for line in axes.get_lines() if line.get_marker() == "o"]
    assert medians == [BLUE, VERMILION, GREY]
    assert [label.get_text() for label in axes.get_yticklabels()] == [*ratios, "missing"]
