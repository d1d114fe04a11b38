"""Rows of tables as documents: each its own text, whatever is in it, in every kind of table and packing."""

import csv
import gzip
import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data import parquet, tables
from lstm_lm.data.lines import find_lines
from lstm_lm.data.module import TextDataModule
from lstm_lm.data.text_files import FileText
from lstm_lm.data.text_paths import text_at
from lstm_lm.data.units import Units, UnitText, units_of
from lstm_lm.errors import UserError
from lstm_lm.tokenizers.interface import ROW_END

ROWS = ["one", "two\n\nlines", 'she said "no", and left', "", " \t", "tab\there\r\n", "été <|end|> \u2028", "one"] * 3
CHAR = {"name": "char"}


def json_lines(rows: list[Any], column: str = "text") -> bytes:
    return "".join(json.dumps({"id": number, column: row}) + "\n" for number, row in enumerate(rows)).encode()


def separated(rows: list[Any], column: str = "text", delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
    writer.writerows([["id", column], *([number, row] for number, row in enumerate(rows))])
    return file.getvalue().encode()


def in_parquet(rows: list[Any], column: str = "text", kind: Any = None) -> bytes:
    file = io.BytesIO()
    texts = pyarrow.array(rows, kind)
    table = pyarrow.table({"id": range(len(rows)), column: texts})
    pyarrow.parquet.write_table(table, file, row_group_size=5)
    return file.getvalue()


KINDS: dict[str, Callable[[list[Any]], bytes]] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".csv": separated,
    ".tsv": lambda rows: separated(rows, delimiter="\t"),
    ".parquet": in_parquet,
    ".jsonl.gz": lambda rows: gzip.compress(json_lines(rows), mtime=0),
    ".csv.gz": lambda rows: gzip.compress(separated(rows), mtime=0),
}
every_kind = pytest.mark.parametrize("ending", list(KINDS))


def source(path: Path, column: str = "text") -> FileText:
    return text_at(str(path), "utf-8", path.parent, column=column)


def rows_at(path: Path, column: str = "text") -> list[str]:
    *rows, rest = "".join(source(path, column).pieces()).split(ROW_END)
    assert rest == ""
    return rows


def refusal(path: Path, column: str = "text") -> str:
    with pytest.raises(UserError) as refused:
        rows_at(path, column)
    assert 1 <= len(str(refused.value).splitlines()) <= 4
    return str(refused.value)


class TestRows:
    def test_every_kind_is_tried(self) -> None:
        assert set(tables.SUFFIXES) <= set(KINDS)

    @every_kind
    def test_they_come_as_they_were_written(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a{ending}"
        path.write_bytes(KINDS[ending](ROWS))
        assert rows_at(path) == ROWS
        assert list(units_of(source(path), ROW_END)) == [row for row in ROWS if row.strip()], "blank ones are left out"

    @every_kind
    @given(rows=st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1))
    def test_nothing_in_a_row_ends_it(
        self, tmp_path_factory: pytest.TempPathFactory, ending: str, rows: list[str]
    ) -> None:
        path = tmp_path_factory.getbasetemp() / f"drawn{ending}"
        path.write_bytes(KINDS[ending](rows))
        assert rows_at(path) == rows

    @pytest.mark.parametrize("kind", ["string", "large_string", "string_view", "dictionary"])
    def test_parquet_has_text_of_several_types(self, tmp_path: Path, kind: str) -> None:
        if kind == "dictionary":
            content = in_parquet(ROWS, kind=pyarrow.dictionary(pyarrow.int32(), pyarrow.string()))
        else:
            content = in_parquet(ROWS, kind=getattr(pyarrow, kind)())
        (tmp_path / "a.parquet").write_bytes(content)
        assert rows_at(tmp_path / "a.parquet") == ROWS

    def test_several_tables_of_a_folder_are_read_in_order(self, tmp_path: Path) -> None:
        for name in ("b.csv", "a.parquet", "c.jsonl.gz"):
            (tmp_path / name).write_bytes(KINDS[name[1:]]([name]))
        (tmp_path / "notes.txt").write_text("no table")
        assert rows_at(tmp_path) == ["a.parquet", "b.csv", "c.jsonl.gz"]

    def test_a_packed_table_of_nothing_has_no_rows(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(separated(["one"]))
        for name in ("b.csv.gz", "c.tsv.gz", "d.jsonl.gz"):
            (tmp_path / name).write_bytes(gzip.compress(b""))
        assert rows_at(tmp_path) == ["one"]

    @pytest.mark.parametrize("ending", [".jsonl", ".csv", ".tsv", ".parquet"])
    def test_one_that_loses_its_column_or_goes_away_meanwhile_is_refused(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a{ending}"
        path.write_bytes(KINDS[ending](["one"]))
        text = source(path)
        text.checksum()
        path.write_bytes(KINDS[ending](["one"]).replace(b"text", b"body"))
        with pytest.raises(UserError, match="a\\."):
            list(text.pieces())
        path.unlink()
        with pytest.raises(UserError, match="cannot be read"):
            list(text.pieces())

    def test_another_encoding_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(separated(["été"]).decode().encode("utf-16"))
        text = text_at(str(tmp_path / "a.csv"), "utf-16", tmp_path, column="text")
        assert "".join(text.pieces()) == f"été{ROW_END}"

    def test_a_field_may_be_longer_than_the_csv_module_has_it(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").write_bytes(separated(["a" * 300_000]))
        assert rows_at(tmp_path / "a.csv") == ["a" * 300_000]

    @every_kind
    def test_those_without_a_value_are_left_out_and_named_once(
        self, tmp_path: Path, ending: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        if "sv" in ending:
            pytest.skip("an empty field is a blank text")
        path = tmp_path / f"a{ending}"
        path.write_bytes(KINDS[ending](["one", None, "two", None]))
        text = source(path)
        for _ in range(2):
            assert "".join(text.pieces()) == f"one{ROW_END}{ROW_END}two{ROW_END}{ROW_END}"
        [record] = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert "2 rows (" in record
        assert "2, " in record, "which ones"
        assert "4)" in record


class TestDocuments:
    @pytest.mark.parametrize("tokenizer", ["char", "byte", "bpe", "word", "whitespace"])
    def test_every_row_ends_in_the_tokens_where_it_ended(self, section: Any, tmp_path: Path, tokenizer: str) -> None:
        """Also of a word tokenizer with so few words that most are unknown."""
        rows = [f"row {number}{end}" for number in range(60) for end in (".", "?!\n", '"\n\n', "<|end|>")]
        (tmp_path / "a.jsonl").write_bytes(json_lines(rows))
        sizes = {"bpe": {"vocabulary_size": 300, "min_frequency": 2}, "byte": {}, "char": {}}
        options = {"name": tokenizer, **sizes.get(tokenizer, {"vocabulary_size": 5, "min_frequency": 2})}
        data = TextDataModule(section("text", path=str(tmp_path / "a.jsonl"), column="text"), options, seed=1)
        data.prepare()
        found = []
        for split in data.manifest.splits:
            tokens = data.tokens(split)
            lines = find_lines(tokens, data.tokenizer, 32, ROW_END)
            found += [
                data.tokenizer.decode(tokens[at : at + n]) for at, n in zip(lines.starts, lines.lengths, strict=True)
            ]
            assert data.tokenizer.token_bytes(lines.opening).endswith(b"\0")
        assert len(found) == len(rows)
        if tokenizer not in ("word", "whitespace"):
            assert sorted(found) == sorted(row + ROW_END for row in rows)

    @every_kind
    def test_tokens_are_the_same_whatever_the_table_is(self, section: Any, tmp_path: Path, ending: str) -> None:
        def tokens(name: str, **keys: Any) -> list[list[int]]:
            path = tmp_path / name
            data = TextDataModule(section("text", path=str(path), batch_size=2, **keys), CHAR, seed=1)
            data.prepare()
            return [data.tokens(split).tolist() for split in data.manifest.splits]

        rows = [f"row {number}, said so\n" for number in range(40)]
        for name, of_rows in (("plain.jsonl", json_lines), (f"a{ending}", KINDS[ending])):
            (tmp_path / name).write_bytes(of_rows(rows))
        assert tokens(f"a{ending}", column="text") == tokens("plain.jsonl", column="text")

    def test_they_are_documents_of_their_own_files_too(self, section: Any, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(json_lines(["one", "two", "one\n\ntwo"] * 9))
        (tmp_path / "b.csv").write_bytes(separated(["two\none", "one"]))
        paths = {"path": str(tmp_path / "a.jsonl"), "validation_path": str(tmp_path / "b.csv")}
        data = TextDataModule(section("text", **paths, column="text", batch_size=2), CHAR, seed=1)
        data.prepare()
        assert data.options.unit == "document"
        assert data.tokenizer.decode(data.tokens("validation")) == f"two\none{ROW_END}one{ROW_END}"

    def test_another_column_is_another_text(self, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_text('{"a": "one", "b": "one"}\n')
        sums = {source(tmp_path / "a.jsonl", column).checksum() for column in ("a", "b")}
        assert len(sums | {text_at(str(tmp_path / "a.jsonl"), "utf-8", tmp_path).checksum()}) == 3

    @pytest.mark.parametrize(
        "keys", [{"unit": "line"}, {"separator": "x"}, {"split": "end"}, {"window_lengths": "random"}]
    )
    def test_what_rows_are_not_is_refused(self, section: Any, keys: dict[str, str]) -> None:
        with pytest.raises(UserError):
            TextDataModule(section("text", path="a.jsonl", column="text", **keys), CHAR, seed=1)

    def test_a_tokenizer_without_their_end_is_refused(self, section: Any, tmp_path: Path) -> None:
        (tmp_path / "a.txt").write_text("one two " * 99)
        (tmp_path / "a.jsonl").write_bytes(json_lines(["one", "two"] * 9))
        plain = TextDataModule(section("text", path=str(tmp_path / "a.txt"), batch_size=1), CHAR, seed=1)
        plain.prepare()
        keys = {"path": str(tmp_path / "a.jsonl"), "column": "text", "unknown": "skip"}
        with pytest.raises(UserError, match="end of a row"):
            TextDataModule(section("text", **keys), {}, seed=1, tokenizer=plain.tokenizer).prepare()


class TestBadInput:
    @every_kind
    def test_a_column_that_is_not_there(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a{ending}"
        path.write_bytes(KINDS[ending](ROWS))
        assert "text" in refusal(path, "body").splitlines()[1], "which there are"

    @pytest.mark.parametrize(
        ("name", "content", "told"),
        [
            ("a.jsonl", b'{"text": "a"}\n{"text": "b"\n', "line 2"),
            ("a.jsonl", b'{"text": "a"}\n\n[1]\n', "line 3"),
            ("a.jsonl", b'[{"text": "a"}]', "line 1"),
            ("a.jsonl", b'{"text": "a"}\n' * 200 + b"{", "line 201"),
            ("a.jsonl", b'{"text": "a"}\n{"text": 7}\n', "line 2"),
            ("a.jsonl", b'{"text": "a\\u0000b"}\n', "zero character"),
            ("a.jsonl", b'{"text": "a\\ud800b"}\n', "U+D800"),
            ("a.jsonl", b'{"text": "a\0b"}\n', "not a text file"),
            ("a.jsonl", b"[" * 100_000, "line 1"),
            ("a.csv", b'id,text\n1,"a\n2,b\n', "line 3"),
            ("a.csv", b'id,text\n1,"a"b\n', "line 2"),
            ("a.csv", b"id,text\n1,a\n2,b,c\n", "line 3"),
            ("a.csv", b"text,text\n1,a\n", "several columns"),
            ("a.csv", b"id;text\n1;a\n", "id;text"),
            ("a.csv.gz", gzip.compress(separated(ROWS), mtime=0)[:-5], "cut off"),
            ("a.jsonl.gz", gzip.compress(b"\x89PNG\r\n\x1a\n" + bytes(99), mtime=0), "a PNG picture"),
            ("a.parquet", in_parquet(ROWS)[:-20], "Parquet"),
            ("a.parquet", b"PAR1 and nothing else", "Parquet"),
            ("a.parquet", in_parquet([1, 2]), "no text"),
            ("a.txt", b"one\ntwo\n", "no table"),
            ("a.csv", b"", "empty"),
        ],
    )
    def test_it_is_told_where_it_is(self, tmp_path: Path, name: str, content: bytes, told: str) -> None:
        (tmp_path / name).write_bytes(content)
        assert told in refusal(tmp_path / name)

    def test_rows_of_which_none_has_text(self, section: Any, tmp_path: Path) -> None:
        (tmp_path / "a.jsonl").write_bytes(json_lines([None, " ", ""]))
        with pytest.raises(UserError, match="0 different rows"):
            TextDataModule(section("text", path=str(tmp_path / "a.jsonl"), column="text"), CHAR, seed=1).prepare()

    def test_standard_input_has_no_name(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"data\.column"):
            text_at("-", "utf-8", tmp_path, column="text")

    def test_a_missing_package_is_named_with_its_extra(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "a.parquet").write_bytes(in_parquet(ROWS))
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        assert "lstm-lm[parquet]" in refusal(tmp_path / "a.parquet")

    @pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
    def test_a_table_that_changes_between_two_passes(self, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"a{ending}"
        path.write_bytes(KINDS[ending](["one"]))
        text = source(path)
        list(text.pieces())
        path.write_bytes(KINDS[ending](["two"]))
        with pytest.raises(UserError, match="changed"):
            list(text.pieces())

    def test_a_table_without_its_column_is_running_text_and_a_line_says_so(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "a.jsonl").write_text('{"id": 1, "title": "a", "text": "b"}\n')
        text = text_at(str(tmp_path / "a.jsonl"), "utf-8", tmp_path)
        assert "".join(text.pieces()) == '{"id": 1, "title": "a", "text": "b"}\n'
        [record] = [record.getMessage() for record in caplog.records]
        assert "data.column" in record
        assert "title, text" in record
        assert "id" not in record.rpartition("(")[2]


def test_a_row_that_is_dealt_keeps_its_end(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(separated(["one\n\ntwo"]))
    assert list(UnitText(source(tmp_path / "a.csv"), Units(ROW_END, 1)).units()) == [f"one\n\ntwo{ROW_END}"]


@pytest.mark.linux
@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_memory_is_flat(tmp_path: Path, ending: str) -> None:
    """A process reads 16 and 40 MiB of rows, of one row group, and is about as large after either."""
    program = (
        "import sys; from pathlib import Path; from lstm_lm.data.text_files import FileText\n"
        "text = FileText([Path(sys.argv[1])], 'utf-8', column='text')\n"
        "print(text.characters(), Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    peaks = []
    draw = np.random.default_rng(1)
    of_a_mib = [draw.integers(97, 123, 1 << 13, np.uint8).tobytes().decode() for _ in range(1 << 7)]
    for size in (16, 40):
        rows = of_a_mib * size
        path = tmp_path / f"{size}{ending}"
        if ending == ".parquet":
            pyarrow.parquet.write_table(pyarrow.table({"text": rows}), path, use_dictionary=False)
        else:
            path.write_bytes(KINDS[ending](rows))
        command = [sys.executable, "-c", program, str(path)]
        characters, peak = map(int, subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())
        assert characters == (size << 20) + len(rows)
        peaks.append(peak)
    assert peaks[1] - peaks[0] < 16 << 10, "KiB"
    assert size << 7 > parquet.ROWS_AT_ONCE
