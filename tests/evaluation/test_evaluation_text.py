"""Which text is evaluated."""

from typing import Any

import pytest

import lstm_lm
from lstm_lm.data.corpora import corpus_class
from lstm_lm.data.corpora.interface import YOUNGER_KEYS
from lstm_lm.evaluation.text import data_section


@pytest.mark.parametrize("key", list(YOUNGER_KEYS))
def test_the_text_of_a_run_older_than_a_key_is_found(key: str) -> None:
    section: dict[str, Any] = lstm_lm.compose()["data"]
    older = {name: value for name, value in section.items() if name != key}
    assert data_section(None, older) == section
    corpus_class(section).OptionsType.parse(data_section(None, older), "data")
