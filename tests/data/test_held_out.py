"""No text that is validated or tested on is trained on."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_lm.data.corpora.text import Text
from lstm_lm.data.text_source import TextSource
from lstm_lm.errors import UserError

Section = Callable[..., dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "texts"
    (folder / "held").mkdir(parents=True)
    for name in ("a", "b", "valid", "test", "held/c"):
        (folder / f"{name}.txt").write_text(f"this is {name}\n")
    monkeypatch.chdir(folder)
    return folder


def read(source: TextSource) -> list[str]:
    return [line.removeprefix("this is ") for line in "".join(source.pieces()).splitlines()]


def sources(section: Section, **changes: Any) -> dict[str, list[str]]:
    options = Text.OptionsType.parse(section("text", **changes), "data")
    return {split: read(source) for split, source in Text(options, Path("cache")).load().sources.items()}


def refusal(section: Section, **changes: Any) -> str:
    with pytest.raises(UserError) as caught:
        sources(section, **changes)
    assert len(str(caught.value).splitlines()) <= 4
    return str(caught.value)


@pytest.mark.parametrize("path", [".", "*.txt", ["a.txt", "b.txt", "valid.txt", "test.txt"], "../texts/*.txt", "DIR"])
@pytest.mark.parametrize(
    "held", ["valid.txt", "./valid.txt", "val*.txt", "../texts/valid.txt", "link.text", "DIR/valid.txt"]
)
def test_a_file_that_validates_does_not_train_whatever_it_is_called(
    folder: Path, section: Section, caplog: pytest.LogCaptureFixture, path: Any, held: str
) -> None:
    (folder / "link.text").symlink_to(folder / "valid.txt")
    changes = {"path": path, "validation_path": held}
    named = {
        key: value.replace("DIR", str(folder)) if isinstance(value, str) else value for key, value in changes.items()
    }
    found = sources(section, **named)
    assert found["validation"] == ["valid"]
    assert "valid" not in found["train"]
    assert {"a", "b", "test"} <= set(found["train"])
    (told,) = caplog.messages
    assert "valid.txt" in told
    assert "data.validation_path" in told


def test_neither_does_one_that_tests_nor_a_folder_of_them(folder: Path, section: Section) -> None:
    found = sources(section, path=".", validation_path="held", test_path=["test.txt", "valid.txt"])
    assert found == {"train": ["a", "b"], "validation": ["held/c"], "test": ["test", "valid"]}


@pytest.mark.parametrize("how", ["copy", "hard link", "soft link"])
def test_neither_does_the_same_text_under_another_name(
    folder: Path, section: Section, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    twin = folder / "twin.txt"
    if how == "copy":
        twin.write_bytes((folder / "valid.txt").read_bytes())
    elif how == "hard link":
        os.link("valid.txt", twin)
    else:
        twin.symlink_to("valid.txt")
    found = sources(section, path=["a.txt", "twin.txt"], validation_path="valid.txt")
    assert found == {"train": ["a"], "validation": ["valid"]}
    assert "twin.txt" in caplog.text


def test_where_nothing_is_left_it_is_refused(folder: Path, section: Section) -> None:
    (folder / "empty.txt").touch()
    (folder / "twin.txt").write_bytes((folder / "a.txt").read_bytes())
    for train in ("a.txt", "twin.txt", ["a.txt", "empty.txt"]):
        message = refusal(section, path=train, validation_path="a.txt")
        assert "data.validation_path" in message
    assert "data.test_path" in refusal(section, path="a.txt", test_path=".")


def test_empty_files_are_no_text_in_common(folder: Path, section: Section, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("empty.txt", "held/empty.txt"):
        (folder / name).touch()
    found = sources(section, path=["a.txt", "empty.txt"], validation_path="held")
    assert found == {"train": ["a"], "validation": ["held/c"]}
    assert not caplog.messages


def test_a_test_that_also_validates_is_told(folder: Path, section: Section, caplog: pytest.LogCaptureFixture) -> None:
    found = sources(section, path="a.txt", validation_path="b.txt", test_path=["b.txt", "test.txt"])
    assert found == {"train": ["a"], "validation": ["b"], "test": ["b", "test"]}
    assert "data.test_path" in caplog.text


def test_without_texts_of_their_own_nothing_is_left_out(
    folder: Path, section: Section, caplog: pytest.LogCaptureFixture
) -> None:
    assert sources(section, path=".") == {"train": ["a", "b", "held/c", "test", "valid"]}
    assert not caplog.messages
