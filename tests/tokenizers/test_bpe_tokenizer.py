"""`tokenizer=bpe`"""

import os
import random
import subprocess
import sys
import time

import pytest
from hypothesis import given
from tokenizer_texts import ANY_TEXT

from lstm_lm.errors import UserError
from lstm_lm.tokenizers import tokenizer_from_json

PROSE = "the cat sat on the mat, and the rat sat on the hat. " * 20


@given(ANY_TEXT)
def test_any_text_can_be_written_whatever_it_was_fitted_on(fit, text):
    tokenizer = fit("bpe", PROSE)
    encoded = tokenizer.encode(text)
    assert encoded.replaced == 0
    assert tokenizer.decode(encoded.ids) == text


def test_frequent_strings_become_tokens_with_the_blank_before_them(fit):
    tokenizer = fit("bpe", PROSE)
    assert [tokenizer.token_bytes(token) for token in tokenizer.encode("the cat").ids] == [b"the", b" cat"]


def test_no_blank_is_put_before_the_first_word(fit):
    tokenizer = fit("bpe", PROSE)
    assert tokenizer.decode(tokenizer.encode("cat").ids) == "cat"


def test_every_byte_is_a_token_of_its_own(fit):
    tokenizer = fit("bpe", "")
    assert tokenizer.vocabulary_size == 256
    assert sorted(tokenizer.token_bytes(token) for token in range(256)) == [bytes([byte]) for byte in range(256)]


@pytest.mark.parametrize("size", [257, 260, 270])
def test_the_vocabulary_has_the_size_asked_for(fit, size):
    assert fit("bpe", PROSE, vocabulary_size=size).vocabulary_size == size


def test_a_short_text_gives_fewer_tokens_than_asked_for(fit):
    assert 257 < fit("bpe", PROSE, vocabulary_size=100_000).vocabulary_size < 300


def test_text_without_blanks_does_not_take_quadratic_time(fit):
    """The library's trainer takes time in the square of a word's length: this one would take minutes."""
    letters = "".join(random.Random(0).choices("acgt", k=500_000))
    start = time.process_time()
    tokenizer = fit("bpe", letters)
    encoded = tokenizer.encode(letters)
    assert time.process_time() - start < 30
    assert len(encoded.ids) < 200_000
    assert tokenizer.decode(encoded.ids) == letters


def test_pairs_that_are_too_rare_are_not_merged(fit):
    assert fit("bpe", "ab cd cd", min_frequency=3).vocabulary_size == 256
    tokens = fit("bpe", "ab cd cd", min_frequency=2)
    assert {tokens.token_bytes(token) for token in range(256, tokens.vocabulary_size)} == {b"cd", b" cd"}


def test_it_learns_from_the_training_split_alone(fit):
    assert fit("bpe", PROSE, others=("zzzz " * 100,)).fingerprint() == fit("bpe", PROSE).fingerprint()


def test_training_is_silent(fit, capfd):
    fit("bpe", PROSE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_encodes_too_and_nothing_is_warned_of():
    program = (
        "import os; from lstm_lm.tokenizers import tokenizer_class\n"
        "class Corpus:\n    training = everything = lambda self: iter(['the cat sat. ' * 9999])\n"
        "kind = tokenizer_class('bpe')\n"
        "options = kind.OptionsType.parse({'name': 'bpe', 'vocabulary_size': 300, 'min_frequency': 2}, 'tokenizer')\n"
        "tokenizer = kind.fit(options, Corpus())\n"
        "ids = tokenizer.encode('the cat sat. ' * 9999).ids.tolist()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if tokenizer.encode('the cat sat. ' * 9999).ids.tolist() == ids else 3)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.environ['TOKENIZERS_PARALLELISM'])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TOKENIZERS_PARALLELISM"}
    arguments = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program]  # 3.12 warns of fork itself
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "0 true\n"
    assert done.stderr == ""


def damaged(stored, path, value):
    *parents, last = path
    place = stored["tokenizer"]
    for key in parents:
        place = place[key]
    place[last] = value
    return stored


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["model"], None),
        (["model", "type"], "Unigram"),
        (["model", "dropout"], 0.5),  # would encode by chance
        (["model", "ignore_merges"], True),
        (["model", "unk_token"], "a"),
        (["normalizer"], {"type": "Lowercase"}),  # would lose text
        (["pre_tokenizer"], None),
        (["pre_tokenizer", "add_prefix_space"], True),
        (["truncation"], {"max_length": 3, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}),
        (["added_tokens"], [{"id": 0, "content": "x"}]),
        (["model", "vocab", "a"], 1_000_000),
        (["model", "vocab", "a"], True),
        (["model", "vocab", "日"], 300),
        (["model", "vocab"], {}),
        (["model", "merges"], [["a", "b", "c"]]),
        (["model", "merges"], [["a", "日"]]),
        (["model", "merges"], "a b"),
        (["model", "merges", 0], ["q", "q"]),
    ],
    ids=str,
)
def test_settings_that_are_not_ours_and_damaged_tables_are_refused(fit, path, value):
    with pytest.raises(UserError, match="malformed"):
        tokenizer_from_json(damaged(fit("bpe", PROSE).to_json(), path, value))


@given(ANY_TEXT)
def test_what_an_older_library_did_not_write_is_not_asked_for(fit, text):
    tokenizer = fit("bpe", PROSE)
    stored = tokenizer.to_json()
    del stored["tokenizer"]["model"]["ignore_merges"], stored["tokenizer"]["padding"]
    again = tokenizer_from_json(stored)
    assert again.encode(text).ids.tolist() == tokenizer.encode(text).ids.tolist()
    assert again.to_json() == stored, "the stored form is kept, so that the fingerprint outlives the library's version"
