"""How likely lines, tokens and texts are: what is scored of each, given what, and that nothing else plays a part."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_models import SMALL, WORDS, drawn, plainly, plainly_of, rows

from lstm_lm.data.text_source import StringText
from lstm_lm.errors import RunError, UserError
from lstm_lm.evaluation.scoring import model as of_the_model
from lstm_lm.evaluation.scoring.encoding import EncodedLine
from lstm_lm.evaluation.scoring.lines import Line
from lstm_lm.evaluation.scoring.model import TokenScorer
from lstm_lm.evaluation.scoring.rows import TextRow
from lstm_lm.evaluation.scoring.score import Scoring
from lstm_lm.tokenizers.byte import ByteTokenizer
from lstm_lm.tokenizers.char import CharTokenizer
from lstm_lm.tokenizers.whitespace import WhitespaceTokenizer
from lstm_lm.tokenizers.word import WordTokenizer

CLOSE = 1e-5
LINES = ["abc", "a", "feed bad cab", "h", "cafe cafe cafe", "dead", "gag"]


# A line


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_a_line_is_scored_after_a_newline_from_a_fresh_state_with_its_end(name: str, batch_size: int) -> None:
    loaded = drawn(name=name)
    for row, line in zip(rows(loaded, "\n".join(LINES), batch_size), LINES, strict=True):
        nats = plainly(loaded, "\n", line + "\n")
        assert row.text == line
        assert row.tokens == row.characters == len(line) + 1
        assert row.nats == pytest.approx(sum(nats), abs=CLOSE)
        assert row.nats_per_token == pytest.approx(sum(nats) / len(nats), abs=CLOSE)
        assert row.bits_per_character == pytest.approx(sum(nats) / len(nats) / math.log(2), abs=CLOSE)
        assert row.most_surprising_nats == pytest.approx(max(nats), abs=CLOSE)
        assert row.most_surprising == (line + "\n")[nats.index(max(nats))]


@given(st.lists(st.text("abc d", max_size=30), min_size=1, max_size=12), st.integers(1, 5))
def test_what_a_line_is_batched_with_changes_nothing(lines: list[str], batch_size: int) -> None:
    loaded = drawn()
    if not any(line.strip() for line in lines):
        return
    found = rows(loaded, "\n".join(lines) + "\n", batch_size)
    assert [row.text for row in found] == lines
    for row in found:
        if row.text.strip():
            alone = rows(loaded, row.text, 1)[0]
            assert row.nats == pytest.approx(alone.nats, abs=CLOSE)
            assert (row.tokens, row.characters, row.unknown) == (alone.tokens, alone.characters, alone.unknown)


def test_a_long_line_is_read_in_windows_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded, line = drawn(), "feed a bad cab " * 9
    [whole] = rows(loaded, line)
    monkeypatch.setattr(of_the_model, "MOST_STEPS", 10)
    [cut] = rows(loaded, line)
    assert cut.nats == pytest.approx(whole.nats, abs=1e-4)
    assert cut.tokens == whole.tokens


def test_blank_lines_keep_their_numbers_and_have_nothing_scored() -> None:
    found = rows(drawn(), "abc\n\n   \nfed\n\n")
    assert [(row.line, row.tokens) for row in found] == [(1, 4), (2, 0), (3, 0), (4, 4), (5, 0)]
    blank = found[1]
    assert (blank.nats, blank.nats_per_token, blank.bits_per_character, blank.most_surprising) == (0, None, None, None)


def test_the_last_line_is_scored_alike_with_a_newline_and_without() -> None:
    with_it, without = rows(drawn(), "abc\nfed\n"), rows(drawn(), "abc\nfed")
    assert with_it == without


@pytest.mark.parametrize("text", ["abc\r\nfed\r\n", "abc\r\nfed"])
def test_a_line_end_of_windows_is_a_line_end_where_the_tokenizer_knows_no_other(text: str) -> None:
    found = rows(drawn(), text)
    assert [row.nats for row in found] == pytest.approx([row.nats for row in rows(drawn(), "abc\nfed")], abs=CLOSE)
    assert found[0].unknown == 0


def test_a_return_that_the_tokenizer_knows_is_scored_and_counted() -> None:
    loaded = drawn(CharTokenizer("\n\rabc"))
    scoring = Scoring(loaded)
    found = list(scoring.lines(StringText("abc\r\nab\n", "the text")))
    assert found[0].tokens == 5
    assert found[0].nats == pytest.approx(sum(plainly(loaded, "\n", "abc\r\n")), abs=CLOSE)
    assert scoring.totals.returns == 1


def test_without_a_newline_in_the_vocabulary_the_first_token_is_only_read() -> None:
    loaded = drawn(CharTokenizer("abc"))
    found = rows(loaded, "abcab\nb\nca")
    assert [row.tokens for row in found] == [4, 0, 1]
    assert found[0].nats == pytest.approx(sum(plainly(loaded, "", "abcab")), abs=CLOSE)


@pytest.mark.parametrize(
    ("words", "line", "ids"),
    [
        (["a", " b", "\n"], "a b c", [3, 1, 2, 0, 3]),  # one unknown word, which is always replaced
        (["a", " b", " \n"], "a b", [3, 1, 2, 3]),  # as in WikiText, where lines end in a blank and a newline
        (["a", " b", " \n"], "a b ", [3, 1, 2, 3]),
    ],
)
def test_words_end_with_the_newline_of_their_vocabulary(words: list[str], line: str, ids: list[int]) -> None:
    loaded = drawn((WhitespaceTokenizer if " \n" in words else WordTokenizer)(words))
    [row] = rows(loaded, line)
    assert row.nats == pytest.approx(sum(plainly_of(loaded, ids)), abs=CLOSE)
    assert (row.tokens, row.unknown) == (len(ids) - 1, ids.count(0))
    assert (row.bits_per_character is None) == bool(row.unknown)


def test_bytes_and_characters_are_told_apart() -> None:
    [row] = rows(drawn(ByteTokenizer()), "äö€😀")
    assert (row.tokens, row.characters) == (2 + 2 + 3 + 4 + 1, 5)
    assert row.bits_per_character == pytest.approx(row.nats / math.log(2) / 5)


def test_a_line_longer_than_any_in_training_is_scored_and_counted() -> None:
    scoring = Scoring(drawn(unit="line", seq_len=5))
    assert [row.tokens for row in scoring.lines(StringText("abc\nabcdefgh\n", "the text"))] == [4, 9]
    assert (scoring.totals.longest, scoring.totals.longer) == (5, 1)


def test_what_is_held_does_not_grow_with_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are read no further ahead of what has been handed out than one portion."""
    monkeypatch.setattr(of_the_model, "MOST_LINES", 10)
    monkeypatch.setattr(of_the_model, "MOST_TOKENS", 30)
    read = 0

    class Endless:
        label = "the text"

        def pieces(self) -> Any:
            nonlocal read
            while True:
                read += 1
                yield "abc\n"

    found = Scoring(drawn(), batch_size=4).lines(Endless())
    for handed_out in range(1, 200):
        next(found)
        assert read <= handed_out + 11


# A token


def test_the_tokens_of_a_line_are_those_that_the_line_adds_up() -> None:
    loaded, text = drawn(), "abc\n\nfeed bad\n"
    lines, tokens = rows(loaded, text), rows(loaded, text, unit="token")
    assert "".join(row.text for row in tokens) == "abc\nfeed bad\n"
    assert [(row.line, row.token) for row in tokens][:5] == [(1, 1), (1, 2), (1, 3), (1, 4), (3, 1)]
    for line in lines:
        assert sum(row.nats for row in tokens if row.line == line.line) == pytest.approx(line.nats)


def test_a_token_that_is_part_of_a_character_is_shown_as_its_bytes() -> None:
    assert [row.text for row in rows(drawn(ByteTokenizer()), "é", unit="token")] == [r"\xc3", r"\xa9", "\n"]


# A text


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_text_is_one_stream_of_which_all_but_the_first_token_is_scored(name: str) -> None:
    loaded, text = drawn(name=name), "\n".join(LINES * 40)
    nats = plainly(loaded, "", text)
    [row] = rows(loaded, text, unit="text")
    assert isinstance(row, TextRow)
    assert row.tokens == row.characters == len(text) - 1
    assert row.nats == pytest.approx(sum(nats), rel=1e-6)
    assert row.most_surprising_nats == pytest.approx(max(nats), abs=CLOSE)


def test_a_text_in_pieces_is_the_same_text() -> None:
    loaded, text = drawn(), "".join(random.Random(1).choices("abc \n", k=3000))

    class Pieces:
        label = "the text"

        def pieces(self) -> Any:
            for start in range(0, len(text), 7):
                yield text[start : start + 7]

    assert Scoring(loaded).text(Pieces()).nats == pytest.approx(rows(loaded, text, unit="text")[0].nats, abs=1e-3)


# What cannot be scored


@pytest.mark.parametrize(
    ("text", "unit"), [("", "line"), ("\n \n", "line"), ("\n", "token"), ("", "text"), ("a", "text")]
)
def test_a_text_with_nothing_to_score_is_refused(text: str, unit: str) -> None:
    with pytest.raises(UserError, match="the text: nothing in it can be scored"):
        rows(drawn(), text, unit=unit)


def test_a_model_whose_weights_have_diverged_says_so() -> None:
    loaded = drawn()
    next(loaded.model.parameters()).data.fill_(math.nan)
    for unit in ("line", "text"):
        with pytest.raises(RunError, match="not numbers"):
            rows(loaded, "abc", unit=unit)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"top": 3}, "top=3 needs an order"),
        ({"sort": "surprise", "unit": "text"}, "unit=text has only one"),
        ({"sort": "length"}, "sort='length'"),
        ({"sort": "surprise", "top": 0}, "top=0"),
        ({"unit": "word"}, "unit='word'"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"unknown": "maybe"}, "unknown='maybe'"),
    ],
)
def test_options_that_mean_nothing_are_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError) as refused:
        rows(drawn(), "abc", **asked)
    assert told in str(refused.value)


def test_lines_of_a_length_are_scored_together() -> None:
    """What batching by length is for: of 64 lines, 32 short and 32 long in turn, no short one is padded."""
    scorer = TokenScorer(drawn(), 32)
    lengths = [100 if number % 2 else 3 for number in range(64)]
    assert [{lengths[number] for number in batch} for batch in scorer._batches(lengths)] == [{3}, {100}]


def test_a_batch_of_long_lines_has_fewer_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_the_model, "MOST_CELLS", 30)
    assert [len(batch) for batch in TokenScorer(drawn(), 32)._batches([5, 10, 10, 20, 20, 40])] == [3, 1, 1, 1]


def test_lines_without_tokens_come_back_in_their_place() -> None:
    blank = EncodedLine(Line(1, ""), WORDS.encode("").ids, 0)
    written = EncodedLine(Line(2, "abc"), WORDS.encode("\nabc\n").ids, 0)
    found = list(TokenScorer(drawn(), 2).lines([blank, written, blank]))
    assert [len(scored.nats) for scored in found] == [0, 4, 0]
