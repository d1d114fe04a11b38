"""Standard input, read once as it comes: the text, and what is refused, as of a file."""

import gzip
import io
import sys
from pathlib import Path

import pytest

from lstm_lm.data.piped_text import PipedText, text_to_read_once
from lstm_lm.data.text_files import FileText
from lstm_lm.errors import UserError


def read(data: bytes, encoding: str = "utf-8") -> str:
    return "".join(PipedText(io.BytesIO(data), encoding).pieces())  # type: ignore[arg-type]


class Dripping(io.BytesIO):
    """Gives a few bytes at a time, as a pipe may."""

    def read1(self, size: int | None = -1, /) -> bytes:
        return super().read1(3)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_it_is_what_a_file_would_be(encoding: str, tmp_path: Path) -> None:
    data = "été\r\n\nno newline at the end".encode(encoding)
    (tmp_path / "a.txt").write_bytes(data)
    text = "".join(FileText([tmp_path / "a.txt"], encoding).pieces())
    assert read(data, encoding) == text
    assert "".join(PipedText(Dripping(data), encoding).pieces()) == text  # type: ignore[arg-type]


def test_a_byte_order_mark_is_not_part_of_it() -> None:
    assert read(b"\xef\xbb\xbfabc") == "abc"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", ["data.path=-", "empty"]),
        (b"abc\xffdef", ["standard input: not utf-8 at byte offset 3", "data.encoding="]),
        (b"x" * 5000 + b"\xe9t\xe9 ...", ["byte offset 5000"]),
        (b"abc\0def", ["not a text file", "offset 3"]),
        ("abc".encode("utf-16"), ["UTF-16", "data.encoding=utf-16"]),
        ("abcdef".encode("utf-16-le"), ["utf-16-le"]),
        (gzip.compress(gzip.compress(b"abc", mtime=0), mtime=0), ["a gzip archive", "gunzip"]),
        (gzip.compress(b"abc" * 999, mtime=0)[:-9], ["standard input: cut off"]),
        (b"abc\xc3", ["byte offset 3", "unexpected end"]),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, told: list[str]) -> None:
    with pytest.raises(UserError) as refused:
        read(data)
    for words in told:
        assert words in str(refused.value)


def test_a_piece_is_there_before_the_next_one_is_read() -> None:
    class Endless(io.RawIOBase):
        def read1(self, _: int) -> bytes:
            return b"abc\n" * 2000

    pieces = PipedText(Endless(), "utf-8").pieces()  # type: ignore[arg-type]
    assert next(pieces).startswith("abc\n")
    assert next(pieces).startswith("abc\n")


def test_only_standard_input_is_piped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("abc")
    assert isinstance(text_to_read_once(str(tmp_path / "a.txt"), "utf-8"), FileText)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"abc")))
    source = text_to_read_once("-", "utf-8")
    assert isinstance(source, PipedText)
    assert (source.label, list(source.paths)) == ("standard input", [])
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UserError, match="nothing is piped"):
        text_to_read_once("-", "utf-8")
    for encoding in ("martian", "hex"):
        with pytest.raises(UserError, match=f"data.encoding={encoding}"):
            text_to_read_once("-", encoding)
