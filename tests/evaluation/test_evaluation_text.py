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


def test_another_text_is_not_validated_with_the_files_of_the_run() -> None:
    """It is cut as any text is: a score of the run's own validation file would be taken for one of this text."""
    of_the_run = {**lstm_lm.compose("data=text", "data.path=a.txt")["data"], "validation_path": "b.txt"}
    assert data_section(None, of_the_run)["validation_path"] == "b.txt"
    other = data_section({"path": "b.txt", "validation_path": None}, of_the_run)
    assert (other["path"], other["validation_path"]) == ("b.txt", None)
