"""Which text is evaluated."""

from pathlib import Path

import pytest
from quick_compose import compose

from lstm_lm.errors import UserError
from lstm_lm.evaluation.text import data_section, read_text
from lstm_lm.tokenizers.char import CharTokenizer


def test_another_text_is_not_validated_with_the_files_of_the_run() -> None:
    """It is cut as any text is: a score of the run's own validation file would be taken for one of this text."""
    of_the_run = {**compose("data=text", "data.path=a.txt")["data"], "validation_path": "b.txt"}
    assert data_section(None, of_the_run)["validation_path"] == "b.txt"
    other = data_section({"path": "b.txt", "validation_path": None}, of_the_run)
    assert (other["path"], other["validation_path"]) == ("b.txt", None)


def test_the_runs_own_text_is_cut_as_it_was_then() -> None:
    of_the_run = {**compose("data=python_docs")["data"], "validation_fraction": 0.3}
    typed = compose("data=python_docs", config_name="evaluate")["data"]
    for asked in (None, {"eval_batch_size": 3}, typed):
        assert data_section(asked, of_the_run)["validation_fraction"] == 0.3
    assert data_section({**typed, "validation_fraction": 0.4}, of_the_run)["validation_fraction"] == 0.4


@pytest.mark.parametrize(
    ("typed", "cut"),
    [
        ([], {"test": 40}),
        (["data.validation_fraction=0.25"], {"train": 30, "validation": 10}),
        (["data.test_fraction=0.5"], {"train": 16, "validation": 4, "test": 20}),
        (["data.validation_path=b.txt"], {"train": 40, "validation": 20}),
    ],
)
def test_another_text_is_whole_unless_somebody_says_how_to_cut_it(
    typed: list[str], cut: dict[str, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("abcd" * 10)
    Path("b.txt").write_text("dcba" * 5)
    of_the_run = compose("data=text", "data.path=mine.txt", f"data.cache_dir={tmp_path}")["data"]
    for asked in (["data.path=a.txt"], ["data=text", "data.path=a.txt", f"data.cache_dir={tmp_path}"]):
        section = data_section(compose(*asked, *typed, config_name="evaluate")["data"], of_the_run)
        found = read_text(section, CharTokenizer("abcd")).corpus.manifest.splits
        assert {split: part.tokens for split, part in found.items()} == cut


def test_the_vocabulary_stays_as_it_is(tmp_path: Path) -> None:
    """A run that has learnt new characters is scored by those it has; no other text adds to them."""
    (tmp_path / "a.txt").write_text("abcd")
    of_the_run = compose("data=text", "data.path=mine.txt", f"data.cache_dir={tmp_path}")["data"]
    section = data_section({"path": str(tmp_path / "a.txt")}, {**of_the_run, "unknown": "extend"})
    assert read_text(section, CharTokenizer("dcba")).corpus.tokenizer.vocabulary_size == 4
    with pytest.raises(UserError, match="does not know 'd'"):
        read_text(section, CharTokenizer("cba"))
    with pytest.raises(UserError, match=r"^data\.unknown=extend: .*vocabulary as it is"):
        data_section({"unknown": "extend"}, of_the_run)


def test_a_text_of_one_token_leaves_nothing_to_predict(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    typed = ["data=text", f"data.path={tmp_path / 'a.txt'}", f"data.cache_dir={tmp_path}"]
    section = data_section(compose(*typed, config_name="evaluate")["data"], None)
    with pytest.raises(UserError, match=r"1 of 2 tokens\ngive more text$"):
        read_text(section, CharTokenizer("ab"))
