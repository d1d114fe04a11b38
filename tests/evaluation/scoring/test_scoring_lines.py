"""Lines as they come: where they end, and how long they may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data.text_source import StringText
from lstm_lm.errors import UserError
from lstm_lm.evaluation.scoring import lines as of_lines
from lstm_lm.evaluation.scoring.lines import GivenLines, lines_of


class Pieces:
    label = "the text"

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces

    def pieces(self):
        return iter(self._pieces)


@given(st.lists(st.text("ab\n\r\u2028\x0b", max_size=8)))
def test_only_a_newline_ends_a_line_wherever_the_text_is_cut(pieces: list[str]) -> None:
    text = "".join(pieces)
    expected = text.removesuffix("\n").split("\n") if text else []
    found = list(lines_of(Pieces(pieces)))
    assert [line.text for line in found] == expected
    assert [line.number for line in found] == list(range(1, len(expected) + 1))


def test_lines_that_are_given_one_by_one() -> None:
    assert [line.text for line in lines_of(GivenLines(["a", "", "b"], "the text"))] == ["a", "", "b"]
    with pytest.raises(UserError, match="line 2: has a newline"):
        list(lines_of(GivenLines(["a", "b\nc"], "the text")))


def test_a_text_without_line_ends_is_refused_before_it_fills_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_lines, "MOST_CHARACTERS", 10)
    assert len(list(lines_of(StringText("a" * 10 + "\n" + "b" * 10, "the text")))) == 2
    with pytest.raises(UserError, match="the text, line 2: more than 10 characters") as refused:
        list(lines_of(Pieces(["a\n", *["b" * 6] * 2, None])))  # type: ignore[list-item]  # is not read any more
    assert "unit=text" in str(refused.value)
