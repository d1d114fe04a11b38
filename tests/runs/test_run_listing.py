"""Every run below a folder is listed, whatever state its files are in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from run_folders import fields, make_run

from lstm_lm.errors import UserError
from lstm_lm.runs.listing import DAMAGED, DIED, UNKNOWN, entry_of, list_runs
from lstm_lm.runs.lock import is_held, only_one


def test_a_finished_run_is_what_its_summary_says(tmp_path: Path) -> None:
    run = make_run(tmp_path / "one", data="tiny", parameters=420, loss=1.5, speed=1234.0)
    entry = entry_of(run, tmp_path)
    assert fields(entry, "run", "status", "data", "model", "parameters") == {
        "run": "one",
        "status": "completed",
        "data": "tiny",
        "model": "lstm",
        "parameters": 420,
    }
    assert (entry.loss, entry.bits_per_byte, entry.tokens_per_second) == (1.5, 2.25, 1234.0)


def test_runs_at_any_depth_are_found(tmp_path: Path) -> None:
    for name in ("plain", "sweeps/a/1_seed=1", "sweeps/a/2_seed=2", "studies/layers/rows/0a1b"):
        make_run(tmp_path / name)
    assert {entry.run for entry in list_runs(tmp_path)} == {
        "plain",
        "sweeps/a/1_seed=1",
        "sweeps/a/2_seed=2",
        "studies/layers/rows/0a1b",
    }


def test_the_searched_folder_may_be_a_run_itself(tmp_path: Path) -> None:
    make_run(tmp_path / "only")
    assert [entry.run for entry in list_runs(tmp_path / "only")] == ["only"]


def test_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        list_runs(tmp_path / "nowhere")


def test_a_run_that_trains_shows_the_best_so_far(tmp_path: Path) -> None:
    metrics = {
        10: {"train/loss": 3.0, "train/tokens_per_second": 50.0, "val/loss": 2.5, "val/bits_per_byte": 3.7},
        20: {"train/loss": 2.0, "val/loss": 2.1, "val/bits_per_byte": 3.1},
        30: {"train/loss": 1.0, "train/tokens_per_second": 70.0, "val/loss": 2.2, "val/bits_per_byte": 3.3},
    }
    run = make_run(tmp_path / "live", status="running", loss=None, speed=None, metrics=metrics)
    with only_one(run.path):
        entry = entry_of(run, tmp_path)
    assert fields(entry, "status", "loss", "bits_per_byte", "train_loss", "steps", "tokens_per_second") == {
        "status": "running",
        "loss": 2.1,
        "bits_per_byte": 3.1,
        "train_loss": 1.0,
        "steps": 30,
        "tokens_per_second": 70.0,
    }


HOLD = """
import sys
from pathlib import Path
from lstm_lm.runs.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_run_whose_process_died_is_told_from_one_that_trains(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", status="running", loss=None)
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as trainer:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "held\n"
        assert entry_of(run, tmp_path).status == "running"
        trainer.kill()
        trainer.wait()
    assert entry_of(run, tmp_path).status == DIED
    assert not is_held(run.path)
    with only_one(run.path):  # asking has not taken it for good
        pass


def test_asking_after_a_run_that_nobody_ever_held_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert not is_held(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", ["", "{", '{"status": "comp', "[1, 2]", "null", "\x00" * 40, "[" * 100_000])
def test_a_damaged_summary_costs_no_line(content: str, tmp_path: Path) -> None:
    config = "data: {name: novel}\nmodel: {name: gru}\n"
    run = make_run(tmp_path / "bad", config=config, metrics={5: {"val/loss": 1.25}})
    make_run(tmp_path / "good")
    run.summary.write_text(content)
    entries = {entry.run: entry for entry in list_runs(tmp_path)}
    assert set(entries) == {"bad", "good"}
    expected = {"status": DAMAGED, "data": "novel", "model": "gru", "loss": 1.25, "steps": 5}
    assert fields(entries["bad"], *expected) == expected


def test_a_run_without_a_summary(tmp_path: Path) -> None:
    (tmp_path / "old" / "checkpoints").mkdir(parents=True)
    assert [fields(entry, "run", "status", "loss") for entry in list_runs(tmp_path)] == [
        {"run": "old", "status": UNKNOWN, "loss": None}
    ]


def test_another_schema_gives_what_can_be_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "other")
    document = json.loads(run.summary.read_text())
    document |= {"schema_version": 99, "val": {"loss": 1.5, "bits_per_byte": "many"}, "model": "lstm", "novelty": [1]}
    run.summary.write_text(json.dumps(document))
    entry = entry_of(run, tmp_path)
    assert (entry.status, entry.loss, entry.bits_per_byte, entry.model) == ("completed", 1.5, None, None)


def test_a_damaged_metrics_file_costs_only_its_own_columns(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", status="interrupted", loss=None)
    run.metrics.write_text("nonsense\n1,2,3\n")
    entry = entry_of(run, tmp_path)
    assert (entry.status, entry.data, entry.loss) == ("interrupted", "text", None)


def test_a_run_is_as_old_as_what_it_wrote_last(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", metrics={1: {"val/loss": 1.0}})
    os.utime(run.summary, (1000, 1000))
    os.utime(run.metrics, (2000, 2000))
    assert entry_of(run, tmp_path).modified == 2000
