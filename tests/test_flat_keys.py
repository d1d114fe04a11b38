from lstm_lm.flat_keys import at, flat_keys


def test_values_are_found_under_dotted_keys_in_order():
    nested = {"model": {"name": "lstm", "sizes": [1, 2]}, "seed": None, "trainer": {"logger": {"on": True}}}
    expected = {"model.name": "lstm", "model.sizes": [1, 2], "seed": None, "trainer.logger.on": True}
    assert list(flat_keys(nested).items()) == list(expected.items())
    assert flat_keys({"a": 1}, "b.") == {"b.a": 1}


def test_an_empty_mapping_is_a_value():
    assert flat_keys({"objective": {}, "model": {"extra": {}}}) == {"objective": {}, "model.extra": {}}
    assert flat_keys({}) == {}


def test_a_key_that_is_not_there_has_no_value() -> None:
    assert at({"seed": 1, "model": {"name": "lstm"}}, "model.size") is None
    assert at({"seed": 1, "model": {"name": "lstm"}}, "seed.more") is None
    assert at(None, "seed") is None
