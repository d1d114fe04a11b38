"""Figures as people read them."""

import pytest

from lstm_lm.printable import printable
from lstm_lm.reports.run_list import _date, short


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00 k"), (818_300, "818 k"), (3_457_729, "3.46 M"), (2 * 10**9, "2.00 G")],
)
def test_counts_have_three_digits(count: int, text: str) -> None:
    assert short(count) == text


def test_a_name_can_not_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\nc\udcffé") == r"a\x1b[2Jb\nc\udcffé"


def test_a_time_that_no_calendar_has_is_none() -> None:
    assert _date(0.0) == "1970-01-01T00:00:00+00:00"
    assert _date(2.0**40) is None
