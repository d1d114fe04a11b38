import hashlib
import io
from pathlib import Path

import pytest

from lstm_lm.data import text_paths
from lstm_lm.data.text_paths import text_at
from lstm_lm.errors import UserError


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    for name in ["b.txt", "a.md", "deep/c.rst", "deep/er/d.TXT", "deep/e.py", ".git/f.txt", "g"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name}\n")
    return folder


def read(path: str | list[str], tmp_path: Path) -> list[str]:
    return "".join(text_at(path, "utf-8", tmp_path / "cache").pieces()).split()


def refusal(path: str | list[str], tmp_path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read(path, tmp_path)
    assert len(str(caught.value).splitlines()) <= 4
    return str(caught.value)


class Piped(io.TextIOWrapper):
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content))


def test_a_file_is_itself_whatever_its_ending(library, tmp_path):
    assert read(str(library / "g"), tmp_path) == ["g"]


def test_a_folder_is_the_texts_below_it(library, tmp_path):
    assert read(str(library), tmp_path) == ["a.md", "b.txt", "deep/c.rst", "deep/er/d.TXT"]


def test_a_glob_takes_any_ending(library, tmp_path):
    assert read(str(library / "**/*.*"), tmp_path) == ["a.md", "b.txt", "deep/c.rst", "deep/e.py", "deep/er/d.TXT"]


def test_a_list_takes_all_of_these(library, tmp_path):
    assert read([str(library / "g"), str(library / "deep"), str(library / "*.txt")], tmp_path) == [
        "b.txt", "deep/c.rst", "deep/er/d.TXT", "g"
    ]  # fmt: skip


def test_a_name_that_looks_like_a_glob_may_be_a_file(tmp_path):
    (tmp_path / "[1].txt").write_text("one")
    assert read(str(tmp_path / "[1].txt"), tmp_path) == ["one"]


def test_the_home_folder_is_found(library, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(library))
    assert read("~/g", tmp_path) == ["g"]


def test_what_is_not_there_is_refused(tmp_path):
    assert "no such file or folder" in refusal(str(tmp_path / "none.txt"), tmp_path)
    assert "no file matches" in refusal(str(tmp_path / "*.txt"), tmp_path)
    assert "names no text" in refusal([], tmp_path)
    assert "names no text" in refusal("", tmp_path)
    assert "no such file or folder" in refusal("a\0b", tmp_path)
    assert "not a usable path" in refusal("x" * 5000, tmp_path)


def test_a_folder_without_texts_is_refused(library, tmp_path):
    (library / "deep/empty").mkdir()
    message = refusal(str(library / "deep/empty"), tmp_path)
    assert "no text files in this folder (looked for .txt, .md, .rst)" in message


class TestStandardInput:
    def test_it_can_be_read_as_often_as_a_file(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.stdin", Piped("naïve\r\n".encode()))
        text = text_at("-", "utf-8", tmp_path)
        assert ["".join(text.pieces()) for _ in range(2)] == ["naïve\r\n"] * 2
        assert text.checksum() == hashlib.sha256("naïve\r\n".encode()).hexdigest()
        assert [file.name for file in (tmp_path / "stdin").iterdir()] == [f"{text.checksum()}.txt"]

    def test_every_job_of_a_sweep_gets_it(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.stdin", Piped(b"once"))
        assert [read("-", tmp_path) for _ in range(2)] == [["once"], ["once"]]

    def test_nothing_piped_in_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.stdin", Piped(b""))
        assert "standard input is empty" in refusal("-", tmp_path)
        assert list((tmp_path / "cache/stdin").iterdir()) == []
        monkeypatch.setattr("sys.stdin", None)
        assert "nothing is piped" in refusal("-", tmp_path)

    def test_a_terminal_is_refused(self, tmp_path, monkeypatch):
        terminal = Piped(b"typed")
        monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("sys.stdin", terminal)
        assert "nothing is piped" in refusal("-", tmp_path)

    def test_it_stands_alone(self, tmp_path):
        assert "cannot be one of several" in refusal(["-", "a.txt"], tmp_path)

    def test_a_full_disk_leaves_nothing(self, tmp_path, monkeypatch):
        monkeypatch.setattr("sys.stdin", Piped(b"text"))

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(text_paths.os, "replace", full)
        assert "No space left on device" in refusal("-", tmp_path)
        assert list((tmp_path / "cache/stdin").iterdir()) == []
