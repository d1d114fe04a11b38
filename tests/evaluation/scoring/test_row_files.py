"""Rows in files: what programs read is what was found."""

import csv
import json
from pathlib import Path

import pytest
from scored_models import drawn, rows

from lstm_lm.errors import RunError
from lstm_lm.evaluation.scoring.row_files import write, written
from lstm_lm.evaluation.scoring.rows import LineRow, TokenRow
from lstm_lm.tokenizers.byte import ByteTokenizer

ODD = 'a "quoted", line\n\n=1+1\r\nä€😀\u202e\u2028 end\n'


def test_every_line_comes_back_from_csv_and_json(tmp_path: Path) -> None:
    found = rows(drawn(ByteTokenizer()), ODD)
    for name in ("rows.csv", "rows.JSONL"):
        assert write(found, LineRow, tmp_path / name, overwrite=False) == 4
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.DictReader(file))
    lines = (tmp_path / "rows.JSONL").read_text(encoding="utf-8").split("\n")[:-1]
    for row, of_csv, of_json in zip(found, read, map(json.loads, lines), strict=True):
        assert of_csv["text"] == of_json["text"] == row.text
        assert list(of_csv) == list(of_json) == list(LineRow._fields)
        assert float(of_csv["nats"]) == of_json["nats"] == pytest.approx(row.nats, abs=1e-6)
        assert (of_csv["bits_per_character"] == "") == (of_json["bits_per_character"] is None) == (row.tokens == 0)


def test_nothing_is_written_where_scoring_fails(tmp_path: Path) -> None:
    def failing():
        yield TokenRow(1, 1, 0.5, "a")
        raise RunError("diverged")

    with pytest.raises(RunError, match="diverged"):
        write(failing(), TokenRow, tmp_path / "rows.csv", overwrite=False)
    assert not list(tmp_path.iterdir())


def test_a_file_that_has_come_meanwhile_stays(tmp_path: Path) -> None:
    def meanwhile():
        yield TokenRow(1, 1, 0.5, "a")
        (tmp_path / "rows.csv").write_text("mine")

    with pytest.raises(RunError):
        write(meanwhile(), TokenRow, tmp_path / "rows.csv", overwrite=False)
    assert (tmp_path / "rows.csv").read_text() == "mine"


def test_no_rows_are_no_lines() -> None:
    assert list(written([], TokenRow, "csv")) == list(written([], TokenRow, "jsonl")) == []
