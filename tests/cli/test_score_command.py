"""`score`: how likely is this text? On a terminal, in a pipe, in files, from Python; and what is refused."""

import csv
import gzip
import io
import json
import math
import random
import shutil
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_commands import TINY, Here
from torch import nn
from torch.nn.functional import log_softmax

import lstm_lm
from lstm_lm.cli import score as of_command
from lstm_lm.cli.main import main
from lstm_lm.errors import UserError

TEXT = "the lazy dog\n\nfox jumps over\nthe quick brown fox\n"


@pytest.fixture
def run(trained: Path, own_folder: Path) -> Path:
    """A copy of a run, and a text of four lines, in the current directory."""
    [source] = (trained / "outputs").iterdir()
    shutil.copytree(source, own_folder / "outputs" / "run")
    (own_folder / "lines.txt").write_text(TEXT)
    return own_folder


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_command, "_at_a_terminal", lambda: True)


def nats_of_plain_lstm(checkpoint: Path, text: str) -> list[float]:
    """Of each token but the first: `torch.nn.LSTM` and two more layers, with the checkpoint's weights and alphabet."""
    content = torch.load(checkpoint, weights_only=True)
    alphabet = content["lstm_lm"]["tokenizer"]["alphabet"]
    weights = {name.removeprefix("model."): weight for name, weight in content["state_dict"].items()}
    stack = {name.removeprefix("stack."): weight for name, weight in weights.items() if name.startswith("stack.")}
    layers, hidden = len(stack) // 4, stack["weight_hh_l0"].shape[1]
    lstm = nn.LSTM(stack["weight_ih_l0"].shape[1], hidden, layers)
    lstm.load_state_dict(stack)
    state, nats = None, []
    with torch.no_grad():
        for before, after in pairwise(text):
            embedded = weights["embedding.weight"][alphabet.index(before)]
            output, state = lstm(embedded.view(1, 1, -1), state)
            logits = weights["head.weight"] @ output.view(-1) + weights["head.bias"]
            nats.append(-float(log_softmax(logits, dim=0)[alphabet.index(after)]))
    return nats


def test_every_line_is_what_a_plain_lstm_makes_of_it(run: Path, here: Here) -> None:
    said = here("score", "run=outputs/run", "data.path=lines.txt", "device=cpu")
    assert said.status == 0, said.err
    checkpoint = run / "outputs" / "run" / "checkpoints" / "best.ckpt"
    found = table(said.out)
    assert [row["text"] for row in found] == TEXT.split("\n")[:-1]
    for row in found:
        if row["text"]:
            nats = nats_of_plain_lstm(checkpoint, f"\n{row['text']}\n")
            assert float(row["nats"]) == pytest.approx(sum(nats), abs=1e-5)
            assert int(row["tokens"]) == len(nats)
            assert float(row["bits_per_character"]) == pytest.approx(sum(nats) / len(nats) / math.log(2), abs=1e-5)
            assert float(row["most_surprising_nats"]) == pytest.approx(max(nats), abs=1e-5)
    assert "4 lines, 1 of them blank: " in said.err


def test_a_whole_text_is_what_evaluate_makes_of_it(run: Path, here: Here) -> None:
    (run / "long.txt").write_text(TEXT * 50)
    loaded = lstm_lm.load(run / "outputs" / "run")
    by_evaluate = lstm_lm.evaluate(loaded, data={"path": "long.txt", "eval_batch_size": 1}, save=False)
    scores = by_evaluate["splits"]["test"]
    [row] = lstm_lm.score(loaded, path="long.txt", unit="text")
    assert (row["tokens"], row["nats_per_token"]) == (scores["tokens"], pytest.approx(scores["loss"], abs=1e-6))
    assert row["bits_per_character"] == pytest.approx(scores["bits_per_character"], abs=1e-6)


def test_a_run_of_one_pass_is_not_said_to_know_its_text_by_heart(
    own_folder: Path, corpus: list[str], here: Here
) -> None:
    (own_folder / "log.txt").write_text("a line that is read once\n" * 100)
    once = ["data.path=log.txt", corpus[1], "trainer.max_epochs=1", "hydra.run.dir=outputs/once"]
    assert main(["train", *TINY, *once]) == 0
    assert "trained on most of this text" not in here("score", "data.path=log.txt", "device=cpu").err


def test_an_odd_line_of_a_log_comes_first(own_folder: Path, corpus: list[str], here: Here) -> None:
    """Trained for a moment on lines of a program, it finds the one that somebody typed."""
    chance = random.Random(2)
    lines = [f"job {chance.randrange(100)} of worker {chance.randrange(9)} is done" for _ in range(300)]
    (own_folder / "log.txt").write_text("\n".join(lines) + "\n")
    trained = ["data.path=log.txt", corpus[1], "trainer.max_steps=60", "hydra.run.dir=outputs/log"]
    assert main(["train", *TINY, "data.batch_size=8", "data.seq_len=16", "model.hidden_size=24", *trained]) == 0
    lines[123] = "b 3 is odd now jrk"
    (own_folder / "today.txt").write_text("\n".join(lines) + "\n")
    assert "trained on most of this text" in here("score", "data.path=log.txt", "device=cpu").err
    said = here("score", "data.path=today.txt", "sort=surprise", "top=3", "device=cpu")
    assert "trained on most of this text" not in said.err
    assert said.status == 0, said.err
    first, *others = table(said.out)
    assert first["line"] == "124"
    assert len(others) == 2


@pytest.mark.parametrize("path", ["-", "lines.txt"])
def test_standard_input_is_a_text_like_any_other(
    run: Path, here: Here, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode()), encoding="ascii"))
    said = here("score", f"data.path={path}", "device=cpu", "format=jsonl")
    assert [json.loads(line)["text"] for line in said.out.splitlines()] == TEXT.split("\n")[:-1]


def test_a_terminal_has_a_short_table(run: Path, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    at_a_terminal(monkeypatch)
    (run / "long.txt").write_text(TEXT * 20)
    said = here("score", "data.path=long.txt", "device=cpu")
    assert said.status == 0, said.err
    head, *rows = said.out.splitlines()
    assert head.split()[:2] == ["line", "tokens"]
    assert len(rows) == of_command.ROWS_OF_A_TABLE
    assert "60 more rows" in said.err
    ordered = here("score", "data.path=long.txt", "device=cpu", "sort=surprise")
    assert len(ordered.out.splitlines()) == 1 + of_command.ROWS_OF_A_TABLE
    whole = here("score", "data.path=long.txt", "device=cpu", "unit=text")
    assert len(whole.out.splitlines()) == 2


def test_files_hold_all_rows_and_the_page_the_text(run: Path, here: Here) -> None:
    typed = ["score", "data.path=lines.txt", "device=cpu"]
    said = here(*typed, "out=rows = [1].csv", "html=page.html", "unit=token")
    assert said.status == 0, said.err
    assert said.out == ""
    rows = table((run / "rows = [1].csv").read_text())
    assert "".join(row["text"] for row in rows) == TEXT.replace("\n\n", "\n")
    assert f"rows = [1].csv: {len(rows)} rows" in said.err
    page = (run / "page.html").read_text()
    assert page.count('<span class="s') == len(rows) + 9  # and the legend
    assert here(*typed, "out=rows.jsonl", "sort=surprise").status == 0
    nats = [json.loads(line)["nats_per_token"] for line in (run / "rows.jsonl").read_text().splitlines()]
    assert nats[:-1] == sorted(nats[:-1], reverse=True)


def test_unknown_characters_are_told_with_their_lines(run: Path, here: Here) -> None:
    (run / "odd.txt").write_text("the dög\nfox\nthe däg\n")
    typed = ["score", "data.path=odd.txt", "device=cpu"]
    message = here(*typed).refused()
    for words in ("odd.txt, line 1", "'ö' (U+00F6)", "2 lines: 1, 3", "unknown=skip"):
        assert words in message
    said = here(*typed, "unknown=replace")
    assert [row["unknown"] for row in table(said.out)] == ["1", "0", "1"]
    assert "2 unknown pieces of text were left out or replaced, in 2 lines: 1, 3" in said.err


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ["empty"]),
        (b"\n\n", ["nothing in it can be scored"]),
        (b"fox\0dog", ["not a text file"]),
        (b"fox \xff dog", ["not utf-8 at byte offset 4", "data.encoding="]),
        (gzip.compress(b"fox", mtime=0)[:-1], ["cut off"]),
        ("fox".encode("utf-16"), ["data.encoding=utf-16"]),
    ],
)
def test_a_text_that_is_none_is_told_in_a_few_lines(run: Path, here: Here, content: bytes, told: list[str]) -> None:
    (run / "bad.txt").write_bytes(content)
    said = here("score", "data.path=bad.txt", "device=cpu", "out=rows.csv", "html=page.html")
    message = said.refused() if "scored" not in told[0] else said.err
    assert said.status == 2
    for words in told:
        assert words in message
    assert said.out == ""
    assert not list(run.glob("rows*")) + list(run.glob("page*"))


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["data.path=null"], ["data.path=null", "data.path=FILE"]),
        (["data.path=none.txt"], ["no such file"]),
        (["data.encoding=martian"], ["data.encoding=martian"]),
        (["data.validation_fraction=0.1"], ["data.validation_fraction", "no such key"]),
        (["top=3"], ["top=3 needs an order", "sort=surprise"]),
        (["sort=length"], ["sort='length'"]),
        (["sort=surprise", "top=0"], ["top=0"]),
        (["sort=surprise", "unit=text"], ["unit=text has only one"]),
        (["sort=surprise", "html=page.html"], ["html=", "sort="]),
        (["unit=word"], ["unit='word'"]),
        (["batch_size=0"], ["batch_size=0"]),
        (["format=pdf"], ["format='pdf'"]),
        (["out=rows.txt"], ["must end in .csv or .jsonl"]),
        (["html=page.csv"], ["must end in .html"]),
        (["out=no/where/rows.csv"], ["there is no folder"]),
        (["out=mine.csv"], ["is there already", "overwrite=true"]),
        (["html=mine.html"], ["is there already", "overwrite=true"]),
        (["data.path=mine.csv", "out=mine.csv", "overwrite=true"], ["what this command reads"]),
        (["run=nowhere"], ["run=nowhere"]),
        (["-m", "unit=line,text"], ["no sweeps"]),
    ],
)
def test_what_is_wrong_is_told_before_any_work(typed: list[str], told: list[str], run: Path, here: Here) -> None:
    for name in ("mine.csv", "mine.html"):
        (run / name).write_text("mine\n")
    message = here("score", "data.path=lines.txt", "device=cpu", *typed).refused()
    for words in told:
        assert words in message
    assert (run / "mine.csv").read_text() == (run / "mine.html").read_text() == "mine\n"


def test_a_checkpoint_is_never_written_over(run: Path, here: Here) -> None:
    (run / "weights.csv").hardlink_to(run / "outputs" / "run" / "checkpoints" / "best.ckpt")
    said = here("score", "data.path=lines.txt", "device=cpu", "out=weights.csv", "overwrite=true")
    assert "what this command reads" in said.refused()


def test_a_run_of_an_autoencoder_is_refused(own_folder: Path, corpus: list[str], here: Here) -> None:
    made = ["experiment=autoencoder", *TINY, "model.latent_size=3", "hydra.run.dir=outputs/run", *corpus]
    assert main(["train", *made]) == 0
    (own_folder / "lines.txt").write_text(TEXT)
    said = here("score", "data.path=lines.txt", "device=cpu")
    assert said.status == 2
    assert "was not trained to predict next tokens" in said.err
    assert said.out == ""


def test_the_same_from_python(run: Path, here: Here) -> None:
    printed = table(here("score", "data.path=lines.txt", "device=cpu").out)
    loaded = lstm_lm.load("outputs/run")
    lines = TEXT.split("\n")[:-1]
    for given in ({"text": TEXT}, {"text": iter(lines)}, {"path": "lines.txt"}):
        found: list[dict[str, Any]] = list(lstm_lm.score(loaded, **given))
        assert [row["text"] for row in found] == lines
        assert [row["nats"] for row in found] == pytest.approx([float(row["nats"]) for row in printed], abs=1e-5)
    [worst] = lstm_lm.score("outputs/run", lines, device="cpu", sort="surprise", top=1, batch_size=1)
    most = max(row["nats_per_token"] or 0 for row in found)
    assert worst["nats_per_token"] == pytest.approx(most, abs=1e-5)
    with pytest.raises(UserError, match="needs one text"):
        lstm_lm.score(loaded)
    with pytest.raises(UserError, match="top=2 needs an order"):
        lstm_lm.score(loaded, "fox", top=2)


def test_any_text_of_bytes_is_scored(own_folder: Path, corpus: list[str], here: Here) -> None:
    """Letters of any script, line ends of Windows, separators that are no line ends, no newline at the end."""
    assert main(["train", *TINY, *corpus, "tokenizer=byte"]) == 0
    lines = ["\ufefféà", "日本語 😀", "a\u2028b\x0bc\x85", "x\r", "\u202eabc"]
    (own_folder / "odd.txt").write_bytes("\n".join(lines).encode())
    said = here("score", "data.path=odd.txt", "device=cpu", "format=jsonl")
    found = [json.loads(line) for line in said.out.split("\n")[:-1]]
    assert [row["text"] for row in found] == ["éà", *lines[1:]]
    assert [row["characters"] for row in found] == [len(row["text"]) + 1 for row in found]
    assert "1 line\n" in said.err
