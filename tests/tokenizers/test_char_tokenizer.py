"""`tokenizer=char`"""

import pytest
from hypothesis import given
from tokenizer_texts import SOME_TEXT, Corpus

from lstm_lm.errors import UserError
from lstm_lm.text_chunks import AT_MOST
from lstm_lm.tokenizers import tokenizer_from_json
from lstm_lm.tokenizers.char import CharOptions


def test_the_ids_are_places_in_the_sorted_alphabet(fit):
    tokenizer = fit("char", "banana")
    assert tokenizer.vocabulary_size == 3
    assert tokenizer.encode("banana").ids.tolist() == [1, 0, 2, 0, 2, 0]
    assert tokenizer.to_json() == {"name": "char", "alphabet": "abn"}


def test_the_alphabet_covers_every_split(fit):
    """The convention of the field: no split holds a character that the model cannot predict."""
    tokenizer = fit("char", "abc", others=("xyz", "é"))
    assert tokenizer.vocabulary_size == 7
    assert tokenizer.encode("xéa").replaced == 0


@given(SOME_TEXT)
def test_there_is_one_token_for_each_character_and_no_other(fit, text):
    tokenizer = fit("char", text)
    assert tokenizer.vocabulary_size == len(set(text))
    assert [tokenizer.token_bytes(token).decode() for token in range(tokenizer.vocabulary_size)] == sorted(set(text))
    assert len(tokenizer.encode(text).ids) == len(text)


def test_unknown_characters_are_named_readably_with_the_place_of_the_first(fit):
    tokenizer = fit("char", "abc?")
    with pytest.raises(UserError) as error:
        tokenizer.encode("abcé\u202eé\U0001f600")
    assert str(error.value) == (
        "the char tokenizer does not know 'é' (U+00E9), '\\u202e' (U+202E), '\U0001f600' (U+1F600)\n"
        "the first is at position 3 of the text (counted from 0)\n"
        "unknown=skip leaves out what is not known, unknown=replace puts '?' there"
    )


def test_only_the_first_few_of_many_unknown_characters_are_named(fit):
    with pytest.raises(UserError, match=r"'d' \(U\+0064\), 'e' \(U\+0065\), \.\.\.\n"):
        fit("char", " ").encode("abcdefghijkl")


def test_the_position_counts_from_the_start_of_a_stream(fit):
    place = 2 * AT_MOST + 17
    pieces = ["ab " * 999] * 200
    text = "".join(pieces)
    with pytest.raises(UserError, match=f"position {place} "):
        list(fit("char", "ab ").encode_pieces([text[:place], "!", text]))


@pytest.mark.parametrize(
    ("alphabet", "stand_in"),
    [("ab ?\ufffd", "\ufffd"), ("ab ?", "?"), ("ab ", " "), ("ab", "a"), ("\0\nab", "a"), ("\nb", "b")],
)
def test_what_replaces_an_unknown_character(fit, alphabet, stand_in):
    tokenizer = fit("char", alphabet)
    encoded = tokenizer.encode("bxyb", "replace")
    assert tokenizer.decode(encoded.ids) == f"b{stand_in}{stand_in}b"
    assert encoded.replaced == 2
    encoded = tokenizer.encode("bxyb", "skip")
    assert tokenizer.decode(encoded.ids) == "bb"
    assert encoded.replaced == 2


@pytest.mark.parametrize("stranger", ["\x00", "a", "c", "e", "\U0010ffff"])
def test_characters_below_between_and_above_the_alphabet_are_unknown(fit, stranger):
    encoded = fit("char", "bd").encode(f"d{stranger}b", "skip")
    assert encoded.ids.tolist() == [1, 0]
    assert encoded.replaced == 1


def test_new_characters_of_every_split_come_behind_the_old_ones(fit):
    old = fit("char", "bd")
    new = old.extended(CharOptions(name="char"), Corpus(["dead"], ["zb"]))
    assert new.to_json() == {"name": "char", "alphabet": "bdaez"}
    assert new.encode("bdaze").ids.tolist() == [0, 1, 2, 4, 3]
    assert new.encode("by\U0010ffff", "skip").ids.tolist() == [0]


def test_no_text_makes_no_alphabet(fit):
    with pytest.raises(UserError, match="empty"):
        fit("char", "")


@pytest.mark.parametrize("alphabet", ["", "aa", "bab", "a\ud800", ["a", "b"], 5, None])
def test_a_damaged_alphabet_is_refused(alphabet):
    with pytest.raises(UserError, match="malformed"):
        tokenizer_from_json({"name": "char", "alphabet": alphabet})
