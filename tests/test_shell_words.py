"""A word that is copied into a shell comes out as it was."""

import shlex
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lstm_lm.shell_words import shell_word


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
@example("")
@example('"$`!\\')
@example("ends with \\")
@example("two \\\\ of them")
def test_a_shell_reads_the_word_again(text: str) -> None:
    assert shlex.split(f"x={shell_word(text)}") == [f"x={text}"]


@pytest.mark.parametrize("text", ["novel.txt", "../a_b-c/é.txt", "a=1,2", "50%"])
def test_what_needs_no_quotes_has_none(text: str) -> None:
    assert shell_word(text) == text


@pytest.mark.parametrize("text", ["my novel.txt", "it's", "C:\\texts\\novel.txt", "vec [1].npy", "~/novel.txt", "a*b"])
def test_double_quotes_serve_every_shell_where_they_are_enough(text: str) -> None:
    assert shell_word(text) == f'"{text}"'


def test_nothing_else_quotes_for_a_shell() -> None:
    source = Path(__file__).resolve().parents[1] / "src" / "lstm_lm"
    quoting = [path.name for path in source.rglob("*.py") if "shlex.quote" in path.read_text(encoding="utf-8")]
    assert quoting == ["shell_words.py"]
