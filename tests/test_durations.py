"""Times have two digits, in the unit that suits them."""

import pytest

from lstm_lm.durations import duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((-3, "0 s"), (0, "0 s"), (0.00001, "0 s"), (0.984, "0.98 s"), (9.4, "9.4 s"), (9.6, "10 s"), (99, "99 s")),
        *((100, "1.7 min"), (300, "5 min"), (5_900, "98 min"), (6_000, "1.7 h"), (86_400, "24 h")),
        *((3 * 86_400, "3 d"), (400 * 86_400, "400 d")),
    ],
)
def test_a_duration_has_two_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text
