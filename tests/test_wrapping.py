"""Lines are broken between words, where they are too wide for a terminal."""

import pytest

from lstm_lm.wrapping import columns, wrapped


@pytest.mark.parametrize(("text", "count"), [("", 0), ("abc", 3), ("字字", 4), ("e\u0301", 1)])
def test_columns_are_counted_not_characters(text: str, count: int) -> None:
    assert columns(text) == count


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("one two three", ["one two", "three"]),
        ("one\n\n  two", ["one", "", "  two"]),
        ("a longer_than_that b", ["a", "longer_than_that", "b"]),
        ("字字字 字字", ["字字字", "字字"]),
        ("", [""]),
    ],
)
def test_no_line_is_wider_but_for_a_word_that_is(text: str, lines: list[str]) -> None:
    assert wrapped(text, 8) == lines
