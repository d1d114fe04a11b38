"""Every option of `tokenizer=`: its file, its class, its keys."""

import pytest
from tokenizer_texts import CONF, options_in_conf

from lstm_lm import registry
from lstm_lm.errors import UserError
from lstm_lm.tokenizers import Tokenizer, tokenizer_class

NAMES = registry.names("lstm_lm.tokenizers")


def test_there_is_one_file_for_each_option():
    assert NAMES == ["bpe", "byte", "char", "whitespace", "word"]
    assert sorted(file.stem for file in CONF.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_file_gives_its_class_every_value_it_asks_for(name):
    kind = tokenizer_class(name)
    assert issubclass(kind, Tokenizer)
    assert kind.name == name
    options = kind.OptionsType.parse(options_in_conf(name), "tokenizer")
    assert options.model_dump() == options_in_conf(name)
    assert all(field.is_required() for field in kind.OptionsType.model_fields.values()), "values live in conf/ alone"


@pytest.mark.parametrize("name", NAMES)
def test_each_key_of_a_file_has_a_comment(name):
    lines = (CONF / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    keys = [line for line in lines if line and not line.startswith("#")]
    assert keys
    assert all("  # " in line for line in keys)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("bpe", "vocabulary_size", 256),
        ("bpe", "vocabulary_size", 1_000_001),
        ("bpe", "min_frequency", 0),
        ("bpe", "vocabulary_size", 1e3),
        ("word", "vocabulary_size", 1),
        ("word", "min_frequency", -1),
        ("word", "min_frequency", "2"),
        ("char", "vocabulary_size", 65),
        ("byte", "name", "char"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key(name, key, value):
    with pytest.raises(UserError, match=rf"tokenizer\.{key}"):
        tokenizer_class(name).OptionsType.parse({**options_in_conf(name), key: value}, "tokenizer")


@pytest.mark.parametrize("name", ["morse", "interface", "chunks", "stored", "../char", ""])
def test_an_unknown_tokenizer_is_refused_with_those_there_are(name):
    with pytest.raises(UserError, match="bpe, byte, char, whitespace, word"):
        tokenizer_class(name)
