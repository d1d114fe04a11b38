"""`embed` from the command line: files, what is said, and what is refused."""

import json
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from cli_commands import TINY, Here

from lstm_lm.cli.main import main

AUTOENCODER = ["experiment=autoencoder", *TINY, "model.latent_size=3", "hydra.run.dir=outputs/run"]


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory, corpus: list[str]) -> Path:
    folder = tmp_path_factory.mktemp("autoencoder")
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(StringIO()) as out:
        patch.chdir(folder)
        assert main(["train", *AUTOENCODER, *corpus]) == 0
    assert "embed run=outputs/run data.path=FILE out=FILE.npy" in out.getvalue()
    return folder


@pytest.fixture
def run(autoencoder: Path, own_folder: Path) -> Path:
    """A trained autoencoder in `outputs/run`, and a text of four lines."""
    shutil.copytree(autoencoder / "outputs", own_folder / "outputs")
    (own_folder / "lines.txt").write_text("the fox\n\nthe lazy dog jumps over\nfox, the = $\n")
    return own_folder


def test_a_vector_for_every_line(run: Path, here: Here) -> None:
    said = here("embed", "data.path=lines.txt", "out=vec = [1].npy", "unknown=skip", "projector=true", "device=cpu")
    assert said.status == 0, said.err
    rows = np.load(run / "vec = [1].npy")
    assert rows.shape == (4, 3)
    assert rows.dtype == np.float32
    assert rows[0].any()
    assert not rows[1].any()
    assert "4 lines, 3 numbers each" in said.err
    assert "1 of them without text" in said.err
    assert "3 unknown pieces of text were left out" in said.err
    assert 'tensorboard --logdir "vec = [1]-projector"' in said.err
    assert len((run / "vec = [1]-projector" / "labels.tsv").read_text().splitlines()) == 4
    again = here("embed", "data.path=lines.txt", "out=w.npy", "unit=window", "unknown=replace", "device=cpu")
    assert np.load(run / "w.npy").shape == (-(-len((run / "lines.txt").read_text()) // 8), 3), again.err


def test_a_vector_for_every_row_of_a_table(run: Path, here: Here) -> None:
    rows = ["the fox", "the lazy dog\njumps over", None, "fox"]
    (run / "rows.jsonl").write_text("".join(json.dumps({"body": row}) + "\n" for row in rows))
    of_rows = ["data.path=rows.jsonl", "data.column=body", "device=cpu", "projector=true"]
    said = here("embed", *of_rows, "out=rows.npy")
    assert said.status == 0, said.err
    assert "4 rows, 3 numbers each" in said.err
    found = np.load(run / "rows.npy")
    assert found.shape == (4, 3)
    assert [bool(row.any()) for row in found] == [True, True, False, True]
    assert len((run / "rows-projector" / "labels.tsv").read_text().splitlines()) == 4, "a newline in a row is none here"
    (run / "fox.txt").write_text("the fox\nfox\n")
    assert here("embed", "data.path=fox.txt", "out=lines.npy", "device=cpu").status == 0
    np.testing.assert_allclose(found[[0, 3]], np.load(run / "lines.npy"), rtol=1e-5, atol=1e-6)
    assert "no column of that name" in here("embed", "data.path=rows.jsonl", "data.column=text", "out=v.npy").refused()
    assert "unit=line" in here("embed", *of_rows, "out=v.npy", "unit=window").refused()


def test_what_is_wrong_is_said_before_any_work(run: Path, here: Here) -> None:
    path, out = "data.path=lines.txt", "out=v.npy"
    assert "out=null: name the file" in here("embed", path).refused()
    assert "data.path=null: name the text" in here("embed", out).refused()
    (run / "empty.txt").touch()
    assert "the text is empty" in here("embed", "data.path=empty.txt", out).refused()
    assert "no such file or folder" in here("embed", "data.path=none.txt", out).refused()
    assert "there is no folder" in here("embed", path, "out=no/where/v.npy").refused()
    assert "a folder" in here("embed", path, "out=outputs").refused()
    assert "unit='word'" in here("embed", path, out, "unit=word").refused()
    unknown = here("embed", path, out, "device=cpu").refused()
    assert "lines.txt, line 4: the char tokenizer does not know" in unknown
    assert "unknown=skip" in unknown
    assert "no such directory" in here("embed", path, out, "run=elsewhere").refused()
    assert "no sweeps" in here("embed", path, out, "-m").refused()
    assert not list(run.glob("*.npy"))


def test_nothing_is_written_over_unasked(run: Path, here: Here) -> None:
    path, checkpoint = "data.path=lines.txt", run / "outputs" / "run" / "checkpoints" / "best.ckpt"
    text, weights = (run / "lines.txt").read_bytes(), checkpoint.read_bytes()
    assert "must end in .npy" in here("embed", path, "out=lines.txt", "overwrite=true").refused()
    assert "must end in .npy" in here("embed", path, f"out={checkpoint}", "overwrite=true").refused()
    (run / "same.npy").hardlink_to(run / "lines.txt")
    assert "what this command reads" in here("embed", path, "out=same.npy", "overwrite=true").refused()
    (run / "weights.npy").hardlink_to(checkpoint)
    said = here("embed", path, "out=weights.npy", "overwrite=true", "unknown=skip", "device=cpu").refused()
    assert "what this command reads" in said
    assert (run / "lines.txt").read_bytes() == text
    assert checkpoint.read_bytes() == weights
    (run / "mine.npy").write_bytes(b"mine")
    for more in ([], ["projector=true"]):
        assert "overwrite=true" in here("embed", path, "out=mine.npy", *more).refused()
    (run / "v-projector").mkdir()
    (run / "v-projector" / "labels.tsv").write_text("mine")
    assert "projector=" in here("embed", path, "out=v.npy", "projector=true").refused()
    assert (run / "mine.npy").read_bytes() == b"mine"
    assert (run / "v-projector" / "labels.tsv").read_text() == "mine"
    said = here("embed", path, "out=v.npy", "projector=true", "overwrite=true", "unknown=skip", "device=cpu")
    assert said.status == 0, said.err
    assert len((run / "v-projector" / "labels.tsv").read_text().splitlines()) == 4


def test_a_run_of_another_kind_says_so_in_one_line(run: Path, here: Here) -> None:
    message = here("generate", "run=outputs/run", "prompt=fox", "device=cpu").refused()
    assert "objective=reconstruction and continues no text" in message
    assert "was not trained to predict next tokens" in here("evaluate", "run=outputs/run", "device=cpu").refused()


def test_a_folder_that_cannot_be_written(run: Path, here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_lm.runs.outputs.os.access", lambda *_: False)  # root may write anywhere
    assert "cannot be written" in here("embed", "data.path=lines.txt", "out=v.npy").refused()
