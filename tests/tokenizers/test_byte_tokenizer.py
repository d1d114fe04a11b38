"""`tokenizer=byte`"""

from hypothesis import given
from tokenizer_texts import ANY_TEXT


@given(ANY_TEXT)
def test_the_ids_are_the_bytes_and_nothing_is_unknown(fit, text):
    tokenizer = fit("byte", "")
    assert tokenizer.vocabulary_size == 256
    encoded = tokenizer.encode(text)
    assert bytes(encoded.ids.tolist()) == text.encode()
    assert encoded.replaced == 0


def test_a_character_of_several_bytes_appears_when_its_last_one_does(fit):
    decoder = fit("byte", "").decoder()
    assert [decoder.push(byte) for byte in "é€".encode()] == ["", "é", "", "", "€"]
    assert decoder.flush() == ""


def test_a_character_that_is_never_finished_is_shown_as_such(fit):
    decoder = fit("byte", "").decoder()
    assert decoder.push(0xE2) == ""
    assert decoder.flush() == "\ufffd"
    assert decoder.push(ord("a")) == "a"
