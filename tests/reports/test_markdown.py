"""How figures are written: nothing is claimed inside the noise."""

from lstm_lm.reports.markdown import Column, ratio, spread, table, times_as_fast
from lstm_lm.reports.spread import Measured, Ratio

FASTER = Ratio(1.5, 1.4, 1.6, 3)
ALIKE = Ratio(1.02, 0.97, 1.07, 3)
ONCE = Ratio(1.5, None, None, 1)
MEMORY = Column("runtime.peak_memory_bytes", "MiB", "{:,.0f}", 2**-20)


def test_a_ratio_is_a_number_only_where_it_is_outside_the_noise() -> None:
    assert ratio(FASTER) == "**1.50** (1.40..1.60)"
    assert ratio(ALIKE) == "no difference measured (0.97..1.07)"
    assert ratio(ONCE) == "1.50 (one repetition: nothing concluded)"
    assert ratio(None) == "-"


def test_a_sentence_says_who_is_faster_only_where_that_was_measured() -> None:
    assert "A has **1.50 times** the speed of B (95 % interval 1.40 to 1.60" in str(times_as_fast(FASTER, "A", "B"))
    assert "no difference measured" in str(times_as_fast(ALIKE, "A", "B"))
    assert "nothing is concluded" in str(times_as_fast(ONCE, "A", "B"))
    assert times_as_fast(None, "A", "B") is None


def test_a_figure_has_its_unit_and_its_spread() -> None:
    assert spread(Measured(2.0**31, 2.0**30, 2.0**32, 3), MEMORY) == "2,048 (1,024..4,096)"
    assert spread(Measured(2.0**31, 2.0**31, 2.0**31, 3), MEMORY) == "2,048"
    assert spread(None, MEMORY) == "-"


def test_a_table() -> None:
    assert table(["a", "b"], [["x|y", "1"]]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"
