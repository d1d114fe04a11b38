"""Rows of a table from training to `generate`, `evaluate` and `score`, and packed text in the place of plain one."""

import csv
import gzip
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest
from cli_commands import TINY, Here

import lstm_lm
from lstm_lm.cli.main import main
from lstm_lm.data.text_files import FileText
from lstm_lm.errors import UserError

ROWS = [f'{one}{two}:\n\n"{three}"' for one in "abcd" for two in "aeiou" for three in "nmrst"]
"""Documents with what separates documents, and a newline, inside."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `train` has left a run on rows, `outputs/rows`, beside tables."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "rows.jsonl").write_text("".join(json.dumps({"name": row}) + "\n" for row in ROWS))
    others = "".join(json.dumps({"body": row}) + "\n" for row in (ROWS[7], None, ROWS[9]))
    (folder / "others.jsonl.gz").write_bytes(gzip.compress(others.encode()))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        of_rows = ["data.path=rows.jsonl", "data.column=name", "trainer.max_steps=150", "hydra.run.dir=outputs/rows"]
        assert main(["train", *TINY, *of_rows]) == 0
    return folder


@pytest.fixture
def there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    return folder


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_generate_writes_rows_of_which_it_is_known_whether_they_were_trained_on(there: Path, here: Here) -> None:
    said = here("generate", "num_samples=20", "seed=1", "device=cpu")
    assert said.status == 0, said.err
    assert "\0" not in said.out + said.err
    told = [line.rpartition(": ")[2] for line in said.err.splitlines() if line.startswith("--- document ")]
    assert len(told) == 20
    texts = lstm_lm.generate("rows", num_samples=20, seed=1, device="cpu")
    assert said.out == "".join(f"{text}\n\n" for text in texts), "the same, with a blank line where each ends"
    for text, standing in zip(texts, told, strict=True):
        assert standing in ("new", "copied")
        assert text in ROWS or standing == "new"


def test_score_and_evaluate_agree_about_the_same_rows(there: Path, here: Here) -> None:
    of_others = ["data.path=others.jsonl.gz", "data.column=body"]
    said = here("score", *of_others, "device=cpu")
    assert said.status == 0, said.err
    rows = table(said.out)
    assert [(row["line"], row["text"]) for row in rows] == [("1", ROWS[7]), ("2", ""), ("3", ROWS[9])]
    assert [int(row["tokens"]) for row in rows] == [len(ROWS[7]) + 1, 0, len(ROWS[9]) + 1], "the end is predicted"
    assert "3 rows, 1 of them blank" in said.err
    assert here("evaluate", "data=text", *of_others, "device=cpu").status == 0
    evaluated = lstm_lm.evaluate("rows", data={"path": "others.jsonl.gz", "column": "body"}, save=False)
    split = evaluated["splits"]["test"]
    nats = sum(float(row["nats"]) for row in rows)
    assert split["tokens"] == sum(int(row["tokens"]) for row in rows)
    assert split["loss"] == pytest.approx(nats / split["tokens"], abs=1e-5)
    by_call = list(lstm_lm.score("rows", path="others.jsonl.gz", column="body"))
    assert math.fsum(row["nats"] for row in by_call) == pytest.approx(nats, abs=1e-5)


def test_the_rows_that_validate_are_evaluated_as_training_did(there: Path) -> None:
    summary = json.loads((there / "outputs" / "rows" / "summary.json").read_text())
    found = lstm_lm.evaluate("rows", save=False)["splits"]["validation"]
    assert found["loss"] == pytest.approx(summary["val"]["loss"], abs=1e-4)


def test_a_page_shows_where_rows_end(there: Path, here: Here, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    said = here("score", "data.path=rows.jsonl", "data.column=name", f"html={page}", "device=cpu", "sort=null")
    assert said.status == 0, said.err
    assert page.read_text().count("⏹") == len(ROWS)
    assert "\0" not in page.read_text()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["score", "data.path=rows.jsonl", "data.column=text"], ["no column", "name"]),
        (["score", "data.path=rows.jsonl", "data.column=name", "unit=text"], ["unit=line"]),
        (["evaluate", "data=python_docs"], ["rows of tables", "data.column"]),
        (["evaluate", "data=text", "data.path=rows.txt"], ["no table"]),
        (["train", *TINY, "data.path=rows.jsonl", "data.column=name", "data.unit=line"], ["data.unit"]),
    ],
)
def test_what_does_not_fit_is_refused(there: Path, here: Here, typed: list[str], told: list[str]) -> None:
    (there / "rows.txt").write_text("no table")
    message = here(*typed, "device=cpu").refused()
    for words in told:
        assert words in message


def test_a_run_of_running_text_scores_rows_after_a_newline(trained: Path, here: Here, monkeypatch: Any) -> None:
    monkeypatch.chdir(trained)
    (trained / "rows.csv").write_text('text\n"the lazy\n\ndog"\nfox\n')
    rows = list(lstm_lm.score(path="rows.csv", column="text"))
    assert [row["text"] for row in rows] == ["the lazy\n\ndog", "fox"]
    [fox] = lstm_lm.score(text=["fox"])
    assert rows[1]["nats"] == pytest.approx(fox["nats"], abs=1e-5)
    with pytest.raises(UserError, match="trained on no rows"):
        lstm_lm.evaluate(data={"path": "rows.csv", "column": "text"}, save=False)


def test_packed_text_is_evaluated_and_scored_like_plain_one(trained: Path, here: Here, monkeypatch: Any) -> None:
    monkeypatch.chdir(trained)
    text = "the lazy dog\nfox jumps over\n" * 9
    Path("plain.txt").write_text(text)
    Path("packed.txt.gz").write_bytes(gzip.compress(text.encode()))
    plain, packed = (here("score", f"data.path={name}", "device=cpu") for name in ("plain.txt", "packed.txt.gz"))
    assert plain.out == packed.out != ""
    losses = [lstm_lm.evaluate(data={"path": name}, save=False)["splits"] for name in ("plain.txt", "packed.txt.gz")]
    assert losses[0]["test"]["loss"] == losses[1]["test"]["loss"]
    assert FileText([Path("packed.txt.gz")], "utf-8").characters() == len(text)
