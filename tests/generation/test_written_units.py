"""Lines and documents written one by one: each from a fresh state to its end, and what the training text has of it."""

from typing import Any

import pytest
import torch
from generation_models import Scripted, char_tokenizer, lstm

from lstm_lm.data.known_units import KnownUnits, digests_of
from lstm_lm.errors import UserError
from lstm_lm.generation import units
from lstm_lm.generation.text import sample_text
from lstm_lm.generation.units import UnitEnd, UnitWriter, WrittenUnit, units_in_a_row
from lstm_lm.tokenizers.byte import ByteTokenizer

TOKENIZER = char_tokenizer()
MODEL = lstm(TOKENIZER.vocabulary_size)
BYTES = ByteTokenizer()


def dictated(text: str, separator: str = "\n", trained: str = "", **settings: Any) -> UnitWriter:
    """A writer whose model writes `text` from every fresh state on."""
    digests = digests_of(BYTES.encode(trained).ids, BYTES, separator)
    model = Scripted(list(text.encode()), 256)
    return UnitWriter(model, BYTES, separator, known=KnownUnits(digests), **{"temperature": 0.0, **settings})


def drawn(count: int = 1, **settings: Any) -> UnitWriter:
    known = KnownUnits(torch.empty(0, dtype=torch.int64))
    return UnitWriter(MODEL, TOKENIZER, "\n", known=known, num_samples=count, **{"seed": 1, **settings})


def test_a_line_begins_as_in_training_after_a_newline_and_a_fresh_state_and_ends_at_its_own() -> None:
    writer = drawn()
    for _ in range(3):  # whatever was written before
        [line] = writer.write("a", max_new_tokens=200)
        assert "\n" not in line.text
        assert line.text.startswith("a")
    [greedy] = drawn(temperature=0.0).write("ab", max_new_tokens=30)
    expected = sample_text(MODEL, TOKENIZER, "\nab", max_new_tokens=30, temperature=0.0)
    assert greedy.text == "ab" + expected.partition("\n")[0]


def test_a_line_that_is_in_the_training_text_is_a_copy() -> None:
    assert dictated("a name\nx", trained="one\na name\n").write(max_new_tokens=20) == [("a name", "copied")]
    assert dictated("a nime\nx", trained="one\na name\n").write(max_new_tokens=20) == [("a nime", "new")]
    assert dictated("me\nx", trained="name\n").write("na", max_new_tokens=20) == [("na", "new")], "the script goes on"
    assert dictated("name\nx", trained=" name \n").write(max_new_tokens=20) == [("name", "copied")]


def test_what_has_not_come_to_its_end_is_not_compared() -> None:
    assert dictated("a name\n", trained="a n\n").write(max_new_tokens=3) == [("a n", "unfinished")]
    assert dictated("a name\n", trained="a n\n", stop="a").write(max_new_tokens=9) == [("", "stopped")]
    assert dictated(" \n").write(max_new_tokens=9) == [(" ", "blank")]
    assert UnitWriter(Scripted([97, 10], 256), BYTES, "\n").write(max_new_tokens=9)[0].standing == "not compared"


def test_a_document_ends_at_its_separator_newlines_and_all() -> None:
    [document] = dictated("two\nlines\n\nmore", "\n\n").write(max_new_tokens=50)
    assert document == ("two\nlines", "new")


@pytest.mark.parametrize(
    ("prompt", "follows", "text"), [("a\n", "\nb", "a"), ("a\n", "b\n\n", "a\nb"), ("-\n%", "\n", "-")]
)
def test_an_end_may_begin_in_the_prompt(prompt: str, follows: str, text: str) -> None:
    """As that of a file does, whose last line has its newline."""
    separator = "\n%\n" if "%" in prompt else "\n\n"
    script = f"{prompt}{follows}"
    assert dictated(script, separator).write(prompt, max_new_tokens=9)[0] == (text, "new")
    assert "".join(dictated(script, separator).pieces(prompt, max_new_tokens=9)) == text


def test_blanks_around_it_do_not_make_it_another_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "MOST_ROUNDS", 1)
    monkeypatch.setattr(UnitWriter, "write", lambda *_, **__: [WrittenUnit("a", "new"), WrittenUnit(" a", "new")])
    assert drawn(2).write_new(max_new_tokens=9).texts == ["a"]


def test_several_are_written_side_by_side_and_alike_with_the_same_seed() -> None:
    first, again = (drawn(8).write(max_new_tokens=100) for _ in range(2))
    assert first == again
    assert len(first) == 8
    assert len(set(first)) > 1
    assert drawn(8, seed=2).write(max_new_tokens=100) != first


def test_a_prompt_is_a_beginning_and_has_no_end_in_it() -> None:
    assert dictated("xx\n").write("ab\n", max_new_tokens=9)[0].text.startswith("ab"), "that of a file is left out"
    with pytest.raises(UserError, match="beginning"):
        dictated("x\n").write("a\nb", max_new_tokens=9)
    with pytest.raises(UserError, match=r"prompt: .*'Z'"):
        drawn().write("Z", max_new_tokens=9)


def test_the_pieces_of_one_are_the_unit() -> None:
    writer = drawn()
    text = "".join(writer.pieces("ab", max_new_tokens=100))
    assert writer.last is not None
    assert writer.last.text == text == drawn().write("ab", max_new_tokens=100)[0].text


def test_only_new_ones_are_different_from_the_training_text_and_from_each_other() -> None:
    some = {line.text for line in drawn(8).write(max_new_tokens=100) if line.standing == "new"}
    trained = digests_of(TOKENIZER.encode("\n".join(some)).ids, TOKENIZER, "\n")
    writer = UnitWriter(MODEL, TOKENIZER, "\n", known=KnownUnits(trained), num_samples=8, seed=1)
    found = writer.write_new(max_new_tokens=100)
    assert len(found.texts) == len(set(found.texts)) == 8
    assert not some & set(found.texts)
    assert found.others["copied"] >= len(some)


def test_looking_for_new_ones_ends_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(units, "MOST_ROUNDS", 5)
    found = dictated("a name\n", trained="a name\n", num_samples=2).write_new(max_new_tokens=20)
    assert (found.texts, found.drawn, dict(found.others)) == ([], 10, {"copied": 10})
    found = dictated("a name\n", num_samples=2).write_new(max_new_tokens=20)
    assert (found.texts, dict(found.others)) == (["a name"], {"new": 9})


def test_units_in_a_row_are_as_many_tokens_as_are_asked_for() -> None:
    text = units_in_a_row(Scripted(list(b"abc\nxyz"), 256), BYTES, "\n", "\n", 10, temperature=0.0)
    assert text == "abc\nabc\nab\n"


def test_the_end_of_a_unit_is_seen_in_its_tokens() -> None:
    end = UnitEnd(BYTES, "--")
    assert [end.is_at(token) for token in b"a-b---c--"] == [False] * 4 + [True, False, False, False, True]
