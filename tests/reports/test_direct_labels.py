"""Labels stand at the ends of their lines, and never on each other."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.reports.direct_labels import GAP, label_lines, spread
from lstm_lm.reports.figure import line, panels
from lstm_lm.reports.palette import ink

places = st.lists(st.floats(0, 100), max_size=12).map(sorted)


@given(places)
def test_labels_keep_their_order_and_distance(wanted: list[float]) -> None:
    got = spread(wanted, 5.0, 0.0, 100.0)
    assert len(got) == len(wanted)
    assert all(after - before >= 5.0 - 1e-9 for before, after in itertools.pairwise(got))
    assert all(-1e-9 <= place <= 100.0 + 1e-9 for place in got), "twelve fit"


@given(places)
def test_labels_that_are_far_enough_apart_stay(wanted: list[float]) -> None:
    apart = [place + number * 5.0 for number, place in enumerate(wanted)]
    assert spread(apart, 5.0, 0.0, 1000.0) == pytest.approx(apart)


def test_labels_at_one_place_share_the_way() -> None:
    assert spread([50.0, 50.0, 50.0], 10.0, 0.0, 100.0) == [40.0, 50.0, 60.0]
    assert spread([0.0, 0.0], 10.0, 0.0, 100.0) == [0.0, 10.0], "not below the panel"
    assert spread([100.0, 100.0], 10.0, 0.0, 100.0) == [90.0, 100.0], "nor above it"


def test_more_labels_than_fit_still_do_not_touch() -> None:
    assert spread([5.0] * 4, 10.0, 0.0, 20.0) == [0.0, 10.0, 20.0, 30.0]


def test_each_named_line_has_its_label_in_its_color() -> None:
    figure, [axes] = panels(height=2.0)
    for number, name in enumerate(["first", "second", "third"]):
        line(axes, [0, 1, 2], [3.0, 2.0, 1.0 + number / 1000], ink(number), label=name)
    line(axes, [0, 1], [1.0, 1.0], ink(3))
    line(axes, [0.0], [float("nan")], ink(4), label="never drawn")
    label_lines(axes)
    labels = {text.get_text(): text for text in axes.texts}
    assert list(labels) == ["first", "second", "third"]
    assert [text.get_color() for text in labels.values()] == [ink(number).color for number in range(3)]

    figure.draw_without_rendering()
    heights = [text.get_window_extent().y0 for text in labels.values()]
    gap_pixels = GAP * figure.dpi / 72
    assert all(after - before >= gap_pixels - 1 for before, after in itertools.pairwise(heights))
    assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in labels.values()), "the layout made room"
