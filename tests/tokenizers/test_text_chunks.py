"""The chunks of a text depend on the text alone, and no token reaches from one to the next."""

import re
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_texts import ANY_TEXT, CUTS, cut

from lstm_lm.errors import UserError
from lstm_lm.text_chunks import AT_LEAST, AT_MOST, chunks


def test_a_chunk_ends_where_a_word_does():
    assert list(chunks(["one two  three\nfour"], at_least=4, at_most=100)) == ["one two", "  three", "\nfour"]


def test_text_without_blanks_is_cut_by_force():
    assert list(chunks(["abcdefghij k"], at_least=2, at_most=4)) == ["abcd", "efgh", "ij", " k"]


def test_short_text_is_one_chunk_and_no_text_is_none():
    assert list(chunks(["a", " ", "b"])) == ["a b"]
    assert list(chunks([])) == list(chunks(["", ""])) == []


@given(ANY_TEXT, CUTS, st.integers(1, 10), st.integers(0, 20))
def test_the_chunks_do_not_depend_on_the_pieces(text, places, at_least, more):
    expected = list(chunks([text], at_least, at_least + more))
    assert "".join(expected) == text
    assert all(0 < len(chunk) <= at_least + more for chunk in expected)
    assert list(chunks(cut(text, places), at_least, at_least + more)) == expected
    assert list(chunks(text, at_least, at_least + more)) == expected, "one character at a time"


@given(ANY_TEXT, st.integers(1, 5))
def test_unless_forced_every_cut_is_between_a_non_blank_and_a_blank(text, at_least):
    parts = list(chunks([text], at_least, len(text) + at_least))
    for before, after in pairwise(parts):
        assert not before[-1].isspace()
        assert after[0].isspace()
        assert len(before) >= at_least


def test_memory_does_not_grow_with_a_text_that_has_no_blank():
    tracemalloc.start()
    try:
        total = sum(len(chunk) for chunk in chunks("x" * 100 for _ in range(30_000)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert total == 3_000_000
    assert peak < 8 * AT_MOST


@pytest.mark.parametrize("lead", [0, 5, AT_MOST + AT_LEAST])
def test_a_lone_surrogate_is_refused_with_its_position(lead):
    with pytest.raises(UserError, match=rf"(?s)U\+DC80, a lone surrogate.*position {lead} ") as error:
        list(chunks(["x" * lead, "\udc80", "y"]))
    assert len(re.findall("\n", str(error.value))) < 4
