"""What is advised where there is too little text has an effect there."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_lm.data.module import TextDataModule
from lstm_lm.errors import UserError
from lstm_lm.evaluation.text import read_text
from lstm_lm.tokenizers.char import CharTokenizer

CHAR = {"name": "char"}
SMALL = {"batch_size": 1, "eval_batch_size": 1, "seq_len": 8}
Section = Callable[..., dict[str, Any]]


def advice(section: dict[str, Any]) -> str:
    """The keys that the refusal's last line names."""
    with pytest.raises(UserError) as caught:
        TextDataModule(section, CHAR, 1).prepare()
    assert len(str(caught.value).splitlines()) <= 4
    return str(caught.value).splitlines()[-1]


def keys(line: str) -> list[str]:
    return re.findall(r"data\.(\w+)", line)


def written(path: Path, content: str) -> str:
    path.write_text(content)
    return str(path)


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("unit", ["window", "line"])
def test_a_split_of_its_own_file_is_made_longer_by_its_own_key(
    section: Section, tmp_path: Path, split: str, unit: str
) -> None:
    lines = "".join(f"text {number}\n" for number in range(90))
    train = written(tmp_path / "train.txt", lines)
    short = written(tmp_path / "short.txt", "x" if unit == "window" else " \n")
    options = section("text", path=train, unit=unit, **SMALL, **{f"{split}_path": short})
    line = advice(options)
    assert f"data.{split}_path=FILE" in line
    assert f"{split}_fraction" not in line
    for remedy in (train + "s", None):
        written(tmp_path / "train.txts", lines * 2)
        TextDataModule({**options, f"{split}_path": remedy}, CHAR, 1).prepare()


@pytest.mark.parametrize("split", ["validation", "test"])
@pytest.mark.parametrize("unit", ["window", "line"])
def test_a_share_that_is_too_small_is_made_larger_by_its_fraction(
    section: Section, tmp_path: Path, split: str, unit: str
) -> None:
    train = written(tmp_path / "train.txt", "some text\n" * 90 + " \n" * (0 if unit == "window" else 20))
    options = section("text", path=train, unit=unit, split="end", **SMALL, **{f"{split}_fraction": 0.001})
    assert keys(advice(options)) == [f"{split}_fraction"]
    TextDataModule({**options, f"{split}_fraction": 0.3}, CHAR, 1).prepare()


def test_a_corpus_that_comes_cut_is_not_told_of_fractions(section: Section, tmp_path: Path) -> None:
    for name, content in (("train", "some text\n" * 90), ("valid", "x"), ("test", "some text\n")):
        written(tmp_path / f"wiki.{name}.tokens", content)
    assert "fraction" not in advice(section("wikitext2", path=str(tmp_path), **SMALL))


def test_the_text_of_python_cannot_be_made_longer(section: Section) -> None:
    line = advice(section("python_docs", **SMALL, validation_fraction=1e-9))
    assert "give more text" not in line
    assert keys(line) == ["validation_fraction"]
    assert "give more text" not in advice(section("python_docs", batch_size=10_000, seq_len=1000))


def test_evaluation_advises_the_same(section: Section, tmp_path: Path) -> None:
    train, short = written(tmp_path / "train.txt", "some text\n" * 90), written(tmp_path / "short.txt", "x")
    with pytest.raises(UserError) as caught:
        read_text(section("text", path=train, validation_path=short), CharTokenizer("\n emostx"))
    assert "data.validation_path=FILE" in str(caught.value)
    assert "fraction" not in str(caught.value)


def test_an_encoding_that_is_advised_is_read(section: Section, tmp_path: Path) -> None:
    for name in ("train", "valid", "test"):
        (tmp_path / f"wiki.{name}.tokens").write_bytes("a caf\xe9 and more text\n".encode("latin-1") * 90)
    options = section("wikitext2", path=str(tmp_path), **SMALL)
    assert "data.encoding=latin-1" in advice_of_reading(options)
    TextDataModule({**options, "encoding": "latin-1"}, CHAR, 1).prepare()


def advice_of_reading(options: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        TextDataModule(options, CHAR, 1).prepare()
    return str(caught.value)


@pytest.mark.parametrize("content", ["", None, b"\x1f\x8b packed"])
def test_a_text_that_cannot_be_used_is_refused_by_the_key_that_names_it(
    section: Section, tmp_path: Path, content: Any
) -> None:
    train, other = written(tmp_path / "train.txt", "some text\n" * 90), tmp_path / "other.txt"
    if content is None:
        other.mkdir()
        (other / "a.txt").touch()
    else:
        other.write_bytes(content if isinstance(content, bytes) else content.encode())
    for key in ("validation_path", "test_path"):
        with pytest.raises(UserError) as caught:
            TextDataModule(section("text", path=train, **{key: str(other)}), CHAR, 1).prepare()
        assert "data.path" not in str(caught.value)
