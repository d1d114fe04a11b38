"""Medians with their extremes, as they are drawn."""

from lstm_lm.reports.figure import panels
from lstm_lm.reports.medians import draw_lines, draw_rows
from lstm_lm.reports.spread import Measured


def test_rows_stand_in_their_order_from_the_top_in_panels_that_share_the_axis() -> None:
    _, places = panels(1, 2, share_y=True)
    for axes in places:
        draw_rows(axes, {"first": Measured(2.0, 1.0, 4.0, 3), "second": Measured(3.0, 3.0, 3.0, 1)})
        bottom, top = axes.get_ylim()
        assert bottom > top
        lines = [list(line.get_xdata()) for line in axes.get_lines()]
        assert lines == [[1.0, 4.0], [2.0], [3.0]], "one repetition has no interval"
        assert [text.get_text() for text in axes.texts] == ["2", "3"]
    assert [label.get_text() for label in places[0].get_yticklabels()] == ["first", "second"]


def test_lines_have_a_tick_at_every_place_and_leave_out_what_has_no_points() -> None:
    _, [axes] = panels()
    point = Measured(2.0, 1.0, 4.0, 3)
    draw_lines(axes, {"a": {1: point, 8: point}, "b": {4: point}, "empty": {}}, log_y=True)
    assert list(axes.get_xticks()) == [1, 4, 8]
    assert [line.get_label() for line in axes.get_lines()] == ["a", "b"]
