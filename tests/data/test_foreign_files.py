"""Files that are no text are called what they are, by their bytes: packed here by the libraries that pack them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data.foreign_files import HEAD_BYTES, likely_encoding, recognised
from lstm_lm.data.text_files import FileText
from lstm_lm.errors import UserError

TEXT = b"Some text, long enough to be packed. " * 50


def zipped(*names: str, first: bytes = b"") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        if first:
            archive.writestr(zipfile.ZipInfo("mimetype"), first)
        for name in names:
            archive.writestr(name, np.random.default_rng(0).bytes(3 * HEAD_BYTES))
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = len(TEXT)
        archive.addfile(member, io.BytesIO(TEXT))
    return file.getvalue()


def saved(what: str) -> bytes:
    file = io.BytesIO()
    if what == "torch":
        torch.save({"weight": torch.zeros(5000)}, file)
    else:
        np.save(file, np.zeros(9))
    return file.getvalue()


FILES = {
    "gzip": gzip.compress(gzip.compress(TEXT)),  # twice: what is in it is no text
    "bzip2": gzip.compress(bz2.compress(TEXT)),
    "xz": bz2.compress(lzma.compress(TEXT)),
    "Zstandard": lzma.compress(b"\x28\xb5\x2f\xfd" + bytes(9)),
    "7z": b"7z\xbc\xaf\x27\x1c" + bytes(9),
    "tar": tarred(),
    "zip": zipped("a.txt"),
    ".docx": zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"),
    ".xlsx": zipped("[Content_Types].xml", "xl/workbook.xml"),
    ".odt": zipped("content.xml", first=b"application/vnd.oasis.opendocument.text"),
    ".epub": zipped("OEBPS/1.xhtml", first=b"application/epub+zip"),
    ".doc": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "RTF": b"{\\rtf1\\ansi text}",
    "Parquet": b"PAR1\x15\x04" + bytes(9) + b"PAR1",
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(9),
    "checkpoint": saved("torch"),
    "NumPy": saved("numpy"),
    "SQLite": b"SQLite format 3\0" + bytes(90),
}


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16"])
@pytest.mark.parametrize("what", list(FILES))
def test_it_is_called_what_it_is_whatever_encoding_is_asked_for(tmp_path: Path, what: str, encoding: str) -> None:
    path = tmp_path / "novel.txt"
    path.write_bytes(FILES[what])
    with pytest.raises(UserError) as caught:
        FileText([path], encoding)
    first, remedy = str(caught.value).splitlines()
    assert first.startswith((f"{path}: not plain text but ", f"{path}, unpacked: not plain text but "))
    assert what in first
    assert remedy


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_no_text_is_taken_for_another_file(text: str) -> None:
    if not text.startswith(("%PDF-", "%!PS-", "{\\rtf")):  # which are written in letters
        assert recognised(text.encode(), text.encode()) is None


@given(st.binary())
def test_what_is_advised_is_another_encoding_and_decodes(sample: bytes) -> None:
    for failed in ("utf-8", "utf-16", "latin-1"):
        likely = likely_encoding(sample, failed)
        assert likely != failed
        if likely is not None:
            sample.decode(likely, "ignore")
