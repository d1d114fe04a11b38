"""The YAML files of `conf/data` and the options of `lstm_lm.data.corpora` belong together."""

import re
from pathlib import Path

import pytest

from lstm_lm import registry

CONF = Path(__file__).parents[2] / "conf"
CORPORA = "lstm_lm.data.corpora"


def test_each_corpus_has_its_file():
    assert sorted(path.stem for path in (CONF / "data").glob("[!_]*.yaml")) == registry.names(CORPORA)


@pytest.mark.parametrize("name", registry.names(CORPORA))
def test_a_file_gives_every_key_of_its_corpus(section, name):
    composed = section(name)
    options = registry.find(CORPORA, name, "data.name").CORPUS.OptionsType
    assert composed["name"] == name
    assert set(composed) == set(options.model_fields)
    given = {**composed, "path": None if name.startswith("python_") else "a"}
    assert options.parse(given, "data").seq_len == (64 if name == "python_names" else 32)
    assert composed["batch_size"] == 32


@pytest.mark.parametrize("path", sorted((CONF / "data").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_key_is_explained(path: Path):
    for line in path.read_text().splitlines():
        if re.match(r"[a-z_]+:", line) and not line.startswith("defaults:"):
            assert " # " in line, line
