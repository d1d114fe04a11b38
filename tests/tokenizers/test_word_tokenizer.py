"""`tokenizer=word`"""

import pytest
from hypothesis import given
from tokenizer_texts import ANY_TEXT, SOME_TEXT, Corpus

from lstm_lm.errors import UserError
from lstm_lm.tokenizers import tokenizer_from_json
from lstm_lm.tokenizers.word import WordOptions, WordTokenizer


def test_words_carry_the_blank_before_them():
    assert WordTokenizer.piece.findall("Don't  stop,\n now...") == [
        "Don",
        "'",
        "t",
        " ",
        " stop",
        ",",
        "\n",
        " now",
        "...",
    ]


@given(ANY_TEXT)
def test_the_pieces_joined_are_the_text(text):
    assert "".join(WordTokenizer.piece.findall(text)) == text


def test_the_most_frequent_pieces_are_known_those_equally_frequent_in_order_of_code_points(fit):
    tokenizer = fit("word", "b a c c b c", vocabulary_size=5)
    # " c" 3 times, " b" once, " a" once, "b" once
    assert tokenizer.to_json() == {"name": "word", "words": [" c", " a", " b", "b"]}
    assert tokenizer.vocabulary_size == 5


def test_the_unknown_token_is_the_first(fit):
    tokenizer = fit("word", "one two")
    encoded = tokenizer.encode("one three two", "replace")
    assert encoded.ids.tolist()[1] == 0
    assert encoded.replaced == 1
    assert tokenizer.decode(encoded.ids) == "one<unk> two"
    assert tokenizer.decode(tokenizer.encode("one three two", "skip").ids) == "one two"


@given(SOME_TEXT)
def test_text_that_spells_the_unknown_token_is_not_the_unknown_token(fit, text):
    tokenizer = fit("word", text + "<unk>")
    assert 0 not in tokenizer.encode(text + "<unk>").ids


def test_rare_pieces_are_unknown(fit):
    tokenizer = fit("word", "\n".join(["x", "x", "y"]), min_frequency=2)
    assert tokenizer.to_json()["words"] == ["\n", "x"]
    assert tokenizer.encode("x\ny", "replace").replaced == 1


def test_unknown_words_are_named_with_the_place_of_the_first(fit):
    tokenizer = fit("word", "the cat sat")
    with pytest.raises(UserError) as error:
        tokenizer.encode("the cat caught \u2192 incomprehensibilities\u0301")
    assert str(error.value) == (
        "the word tokenizer does not know ' caught', ' \u2192', ' incomprehensibiliti...', '\u0301' (U+0301)\n"
        "the first is at position 7 of the text (counted from 0)\n"
        "unknown=skip leaves out what is not known, unknown=replace puts '<unk>' there"
    )


def test_other_frequent_words_of_the_training_split_come_behind_the_old_ones(fit):
    old = fit("word", " a a b")
    options = WordOptions(name="word", vocabulary_size=4, min_frequency=2)
    new = old.extended(options, Corpus([" c b b d d d c c e"], [" f f"]))
    assert new.to_json()["words"] == [" a", " b", " c", " d"]
    assert old.extended(options, Corpus([" c b e"], [])).to_json() == old.to_json()


def test_it_learns_from_the_training_split_alone(fit):
    assert fit("word", "a b", others=("c",)).encode("c", "skip").replaced == 1


@pytest.mark.parametrize(("text", "frequency"), [("", 1), ("a b c", 2)])
def test_text_without_a_frequent_word_is_refused(fit, text, frequency):
    with pytest.raises(UserError, match=r"(?s)no word occurs.*tokenizer\.min_frequency"):
        fit("word", text, min_frequency=frequency)


@pytest.mark.parametrize("words", [[], ["a", "a"], ["a", ""], ["a", 1], ["\ud800"], "abc", {"a": 1}, None])
def test_a_damaged_list_of_words_is_refused(words):
    with pytest.raises(UserError, match="malformed"):
        tokenizer_from_json({"name": "word", "words": words})
