"""What holds for every tokenizer, a new one included: it is enough that its module and its YAML file are there."""

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tokenizer_texts import ANY_TEXT, CUTS, SOME_TEXT, Corpus, cut, options_in_conf

from lstm_lm import registry
from lstm_lm.errors import UserError
from lstm_lm.text_chunks import chunks
from lstm_lm.tokenizers import tokenizer_class, tokenizer_from_json

NAMES = registry.names("lstm_lm.tokenizers")
PROSE = "To be, or not to be: that is the question.\nWhether 'tis nobler in the mind to suffer\n" * 3
every_tokenizer = pytest.mark.parametrize("name", NAMES)


@every_tokenizer
@given(text=SOME_TEXT)
def test_text_that_it_was_fitted_on_comes_back_exactly(fit, name, text):
    tokenizer = fit(name, text)
    encoded = tokenizer.encode(text)
    assert encoded.ids.dtype == np.int64
    assert encoded.ids.ndim == 1
    assert encoded.ids.min() >= 0
    assert encoded.ids.max() < tokenizer.vocabulary_size
    assert encoded.replaced == 0
    assert tokenizer.decode(encoded.ids) == text
    assert b"".join(tokenizer.token_bytes(token) for token in encoded.ids.tolist()).decode() == text


@every_tokenizer
def test_no_text_has_no_tokens(fit, name):
    tokenizer = fit(name, PROSE)
    encoded = tokenizer.encode("")
    assert encoded.ids.dtype == np.int64
    assert encoded.ids.tolist() == []
    assert encoded.replaced == 0
    assert list(tokenizer.encode_pieces([])) == list(tokenizer.encode_pieces(["", ""])) == []
    assert tokenizer.decode([]) == ""


@every_tokenizer
@given(text=SOME_TEXT, at_least=st.integers(1, 6))
def test_no_token_reaches_across_a_border_of_chunks(fit, name, text, at_least):
    """What makes streaming exact: chunks encoded one by one are the text encoded as a whole."""
    tokenizer = fit(name, text + text)
    parts = [tokenizer._ids(chunk) for chunk in chunks([text], at_least, len(text) + at_least)]
    assert np.concatenate(parts).tolist() == tokenizer._ids(text).tolist()


@every_tokenizer
@given(known=SOME_TEXT, text=SOME_TEXT)
def test_what_grows_keeps_its_ids_and_knows_the_text(fit, name, known, text):
    """What does not grow has tokens for every text, but for other people's."""
    assume("<unk>" not in known + text)  # a word like any other, whose bytes are those of the one for unknown words
    old, fitted = fit(name, known), fit(name, text)
    section = {key: 1 if key == "min_frequency" else value for key, value in options_in_conf(name).items()}
    options = type(old).OptionsType.parse(section, "tokenizer")
    if not old.grows:
        assert old.knows_all
        with pytest.raises(NotImplementedError):
            old.extended(options, Corpus([text], []))
        return
    new = old.extended(options, Corpus([text], []))
    kept = range(old.vocabulary_size)
    assert [new.token_bytes(token) for token in kept] == [old.token_bytes(token) for token in kept]
    assert new.encode(known).ids.tolist() == old.encode(known).ids.tolist()
    assert new.decode(new.encode(text).ids) == text
    of_both = {made.token_bytes(token) for made in (old, fitted) for token in range(made.vocabulary_size)}
    assert new.vocabulary_size == len(of_both)
    assert tokenizer_from_json(new.to_json()).fingerprint() == new.fingerprint()
    assert new.extended(options, Corpus([text], [])).fingerprint() == new.fingerprint()


@every_tokenizer
@pytest.mark.parametrize("unit", [PROSE, "nothing but letters".replace(" ", ""), "\n", "日本語の文章。"])
def test_a_stream_of_any_pieces_is_the_text_as_a_whole(fit, name, unit):
    text = unit * (300_000 // len(unit))  # several chunks
    tokenizer = fit(name, text)
    whole = tokenizer.encode(text)
    assert tokenizer.decode(whole.ids) == text
    for size in (997, 65_536, 131_073):
        pieces = [text[start : start + size] for start in range(0, len(text), size)]
        parts = list(tokenizer.encode_pieces(pieces))
        assert len(parts) > 1
        assert np.array_equal(np.concatenate([part.ids for part in parts]), whole.ids)


@every_tokenizer
@given(known=SOME_TEXT, text=ANY_TEXT, places=CUTS, unknown=st.sampled_from(["skip", "replace"]))
def test_pieces_do_not_change_what_is_unknown(fit, name, known, text, places, unknown):
    tokenizer = fit(name, known)
    whole = tokenizer.encode(text, unknown)
    parts = list(tokenizer.encode_pieces(cut(text, places), unknown))
    assert [token for part in parts for token in part.ids.tolist()] == whole.ids.tolist()
    assert sum(part.replaced for part in parts) == whole.replaced


@every_tokenizer
@given(known=SOME_TEXT, text=ANY_TEXT)
def test_error_skip_and_replace_agree_on_what_is_unknown(fit, name, known, text):
    tokenizer = fit(name, known)
    skipped, replaced = tokenizer.encode(text, "skip"), tokenizer.encode(text, "replace")
    assert skipped.replaced == replaced.replaced
    assert len(replaced.ids) - len(skipped.ids) == replaced.replaced
    assert all(0 <= token < tokenizer.vocabulary_size for token in [*skipped.ids, *replaced.ids])
    if replaced.replaced:
        with pytest.raises(UserError, match=r"(?s)does not know.*position \d+.*unknown=skip.*unknown=replace") as error:
            tokenizer.encode(text)
        assert len(str(error.value).splitlines()) <= 4
    else:
        assert tokenizer.encode(text).ids.tolist() == replaced.ids.tolist()
        assert tokenizer.decode(replaced.ids) == text


@every_tokenizer
@given(data=st.data(), known=SOME_TEXT)
def test_tokens_pushed_one_by_one_give_the_decoded_text(fit, name, data, known):
    """Any tokens, such as an untrained model would write: halves of characters and invalid bytes included."""
    tokenizer = fit(name, known)
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocabulary_size - 1), max_size=40))
    decoder = tokenizer.decoder()
    for _ in range(2):  # flushed, it is as new
        assert "".join(map(decoder.push, ids)) + decoder.flush() == tokenizer.decode(ids)


@every_tokenizer
@pytest.mark.parametrize("token", [-1, 10**6])
def test_there_are_no_tokens_outside_the_vocabulary(fit, name, token):
    tokenizer = fit(name, PROSE)
    with pytest.raises(IndexError):
        tokenizer.token_bytes(token)
    with pytest.raises(IndexError):
        tokenizer.decode([token])


@every_tokenizer
@given(known=SOME_TEXT, text=ANY_TEXT)
def test_it_is_the_same_after_json(fit, name, known, text):
    tokenizer = fit(name, known)
    stored = tokenizer.to_json()
    assert stored["name"] == name
    again = tokenizer_from_json(json.loads(json.dumps(stored)))
    assert type(again) is type(tokenizer)
    assert again.to_json() == stored
    assert again.fingerprint() == tokenizer.fingerprint()
    assert again.vocabulary_size == tokenizer.vocabulary_size
    before, after = tokenizer.encode(text, "replace"), again.encode(text, "replace")
    assert before.ids.tolist() == after.ids.tolist()
    assert tokenizer.decode(before.ids) == again.decode(after.ids)


@every_tokenizer
def test_changing_what_to_json_gave_does_not_change_the_tokenizer(fit, name):
    tokenizer = fit(name, PROSE)
    before = tokenizer.fingerprint()
    stored = tokenizer.to_json()
    for value in stored.values():
        if isinstance(value, (dict, list)):
            value.clear()
    stored.clear()
    assert tokenizer.fingerprint() == before


@every_tokenizer
def test_the_same_text_gives_the_same_tokenizer_in_pieces_and_in_another_process(fit, name):
    fingerprint = fit(name, PROSE).fingerprint()
    assert len(fingerprint) == 64
    assert fit(name, *PROSE).fingerprint() == fingerprint, "one character at a time"
    program = (
        "import sys, json; from lstm_lm.tokenizers import tokenizer_class\n"
        "name, options, text = json.loads(sys.argv[1])\n"
        "class Corpus:\n    training = everything = lambda self: iter([text])\n"
        "kind = tokenizer_class(name)\n"
        "print(kind.fit(kind.OptionsType.parse(options, 'tokenizer'), Corpus()).fingerprint())"
    )
    options = {"name": name}
    if "min_frequency" in tokenizer_class(name).OptionsType.model_fields:
        options |= {"min_frequency": 1, "vocabulary_size": 300}
        fingerprint = fit(name, PROSE, vocabulary_size=300).fingerprint()
    for seed in ("1", "2"):  # of Python's hashes, which order sets
        printed = subprocess.run(
            [sys.executable, "-c", program, json.dumps([name, options, PROSE])],
            env={**os.environ, "PYTHONHASHSEED": seed, "TOKENIZERS_PARALLELISM": "true"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert printed.stdout.strip() == fingerprint
        assert printed.stderr == ""


@every_tokenizer
def test_another_text_has_another_fingerprint_unless_there_is_nothing_to_learn(fit, name):
    assert (fit(name, "abc abc").fingerprint() == fit(name, "xyz xyz").fingerprint()) == (name == "byte")


@every_tokenizer
@pytest.mark.parametrize("unknown", ["error", "skip", "replace"])
def test_a_lone_surrogate_is_refused_and_never_guessed_at(fit, name, unknown):
    tokenizer = fit(name, PROSE)
    with pytest.raises(UserError, match=r"(?s)U\+D800, a lone surrogate.*position 2 "):
        tokenizer.encode("To\ud800be", unknown)
    with pytest.raises(UserError, match="lone surrogate"):
        list(tokenizer.encode_pieces(["\ud83d", "\ude00"], unknown))  # a pair: still no character in Python


@pytest.mark.parametrize("name", [name for name in NAMES if name != "byte"])
def test_a_lone_surrogate_in_the_text_to_fit_is_refused(fit, name):
    with pytest.raises(UserError, match="lone surrogate"):
        fit(name, "abc \udfff")


@every_tokenizer
@pytest.mark.parametrize("junk", [None, 3, "char", [], {}, {"name": None}, {"name": ["char"]}, {"name": "morse"}])
def test_what_is_no_tokenizer_is_refused(name, junk):
    with pytest.raises(UserError):
        tokenizer_from_json(junk)
    with pytest.raises(UserError, match="malformed"):
        tokenizer_class(name).from_json(junk)


@every_tokenizer
def test_a_missing_or_an_additional_key_is_refused(fit, name):
    stored = fit(name, PROSE).to_json()
    for key in stored:
        with pytest.raises(UserError):
            tokenizer_from_json({other: value for other, value in stored.items() if other != key})
    with pytest.raises(UserError, match="keys must be"):
        tokenizer_from_json({**stored, "more": 1})


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 300),
    st.integers(2**31, 2**70),
    st.floats(),
    ANY_TEXT,
    st.just("\ud800"),
    st.lists(st.one_of(st.integers(0, 3), st.text(max_size=2)), max_size=3),
    st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=2),
)


@every_tokenizer
@given(data=st.data())
def test_damaged_data_is_refused_or_is_a_whole_tokenizer(fit, name, data):
    """Something is replaced, removed or added somewhere inside: a `UserError`, or a tokenizer that works."""
    stored = copy.deepcopy(fit(name, PROSE, **({"vocabulary_size": 270} if name == "bpe" else {})).to_json())
    place = stored
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    match data.draw(st.sampled_from(["replace", "remove", "add"])):
        case "replace":
            place[key] = data.draw(JUNK)
        case "remove":
            del place[key]
        case "add" if isinstance(place, dict):
            place[data.draw(st.text(max_size=3))] = data.draw(JUNK)
        case "add":
            place.append(data.draw(JUNK))
    try:
        tokenizer = tokenizer_from_json(stored)
    except UserError as refused:
        message = str(refused)
        assert 1 <= len(message.splitlines()) <= 4
        return
    encoded = tokenizer.encode(PROSE, "skip")
    assert all(0 <= token < tokenizer.vocabulary_size for token in encoded.ids)
    if not encoded.replaced:
        assert tokenizer.decode(encoded.ids) == PROSE
    assert tokenizer_from_json(tokenizer.to_json()).fingerprint() == tokenizer.fingerprint()
