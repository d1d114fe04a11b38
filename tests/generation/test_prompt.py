import io
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.errors import UserError
from lstm_lm.generation.prompt import read_prompt

ODD = ' To be,\r\nor "not"\tto be = (f(x] \ufeff漢字\x00\n '


@given(st.text())
def test_a_typed_prompt_is_taken_as_it_is(prompt: str) -> None:
    assert read_prompt(prompt, None) == prompt


def test_no_prompt_is_an_empty_one() -> None:
    assert read_prompt(None, None) == ""


def test_a_file_is_read_to_the_last_blank(tmp_path: Path) -> None:
    file = tmp_path / "a prompt=(1).txt"
    file.write_bytes(ODD.encode())
    assert read_prompt(None, str(file)) == ODD
    assert read_prompt("", str(file)) == ODD


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_prompt(None, "-", io.BytesIO(ODD.encode())) == ODD
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ODD.encode()), encoding="ascii"))
    assert read_prompt(None, "-") == ODD


def test_a_prompt_and_a_file_exclude_each_other() -> None:
    with pytest.raises(UserError, match="only one of the two"):
        read_prompt("text", "file")


def test_what_is_not_utf_8_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "latin1.txt"
    file.write_bytes("caf\u00e9".encode("latin1"))
    with pytest.raises(UserError, match="not UTF-8: byte 0xE9 at offset 3"):
        read_prompt(None, str(file))
    with pytest.raises(UserError, match="prompt_file=-: not UTF-8"):
        read_prompt(None, "-", io.BytesIO(b"\xff"))


@pytest.mark.parametrize("name", ["missing.txt", ".", "a\0b", "x" * 5000])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read") as refusal:
        read_prompt(None, str(tmp_path / name))
    assert "prompt_file" in str(refusal.value)
    assert len(str(refusal.value).splitlines()) <= 4


def test_a_process_without_standard_input_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="cannot be read"):
        read_prompt(None, "-")
