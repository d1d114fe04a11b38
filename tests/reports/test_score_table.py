"""The table of scores: a row each, as wide as the terminal, and nothing that a terminal would obey."""

import io

from lstm_lm.evaluation.scoring.rows import LineRow, TextRow, TokenRow
from lstm_lm.reports.score_table import score_table
from lstm_lm.terminal import Terminal


def printed(*rows: LineRow | TokenRow | TextRow, width: int = 80) -> list[str]:
    text = io.StringIO()
    Terminal(file=text, width=width).print(score_table(rows))
    return text.getvalue().splitlines()


LINE = LineRow(7, 3, 4.5, 1.5, 3, 2.1640, "\n", 3.25, 0, "a \x1b[2J line " + "x" * 200)
BLANK = LineRow(1234, 0, 0.0, None, 0, None, None, None, 0, "")


def test_the_text_gives_way_and_nothing_else_does() -> None:
    for width in (72, 80, 120):
        head, first, blank = printed(LINE, BLANK, width=width)
        assert head.split() == ["line", "tokens", "nats", "nats/token", "bits/char", "most", "surprising", "text"]
        assert first.split()[:7] == ["7", "3", "4.50", "1.5000", "2.1640", r"'\n'", "3.25"]
        assert blank.split() == ["1,234", "0", "0.00", "-", "-", "-"]
        assert len(first.rstrip()) <= width
        assert first.rstrip().endswith("…")
        assert "\x1b" not in first


def test_tokens_and_texts_have_their_own_columns() -> None:
    assert printed(TokenRow(3, 2, 0.25, "é"))[1].split() == ["3", "2", "0.2500", "'é'"]
    assert printed(TextRow(10, 20.0, 2.0, 9, 3.2, "th", 9.5, 0))[1].split() == [
        *("10", "20.00", "2.0000", "3.2000", "'th'", "9.50")
    ]
