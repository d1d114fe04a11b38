"""Where a run's files lie, and that no two runs ever share a directory."""

import errno
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lstm_lm.errors import UserError
from lstm_lm.runs.directory import RunDirectory, claim
from lstm_lm.runs.summary import Status, Summary


def test_paths_are_those_of_the_contract() -> None:
    run = RunDirectory(Path("r"))
    found = [run.best, run.last, run.metrics, run.summary, run.evaluation, run.tensorboard, run.config]
    assert [path.as_posix() for path in found] == [
        "r/checkpoints/best.ckpt",
        "r/checkpoints/last.ckpt",
        "r/metrics.csv",
        "r/summary.json",
        "r/evaluation.json",
        "r/tensorboard",
        "r/.hydra/config.yaml",
    ]


def test_create_makes_the_folders_and_leaves_no_probe_behind(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "deep" / "run")
    run.create()
    assert sorted(run.path.rglob("*")) == [run.checkpoints, run.tensorboard]


def test_create_keeps_what_is_there(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.create()
    run.best.write_text("kept")
    run.create()
    assert run.best.read_text() == "kept"


def test_create_names_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught:
        RunDirectory(tmp_path / "file" / "run").create()
    assert caught.value.exit_status == 2
    assert str(caught.value).startswith(f"{tmp_path / 'file' / 'run'}: cannot be written: Not a directory\n")


def test_create_notices_a_folder_that_can_be_made_but_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(UserError, match="No space left") as caught:
        RunDirectory(tmp_path / "run").create()
    assert caught.value.exit_status == 2


def test_a_new_directory_is_empty_even_with_hydras_files(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    assert run.is_empty()
    run.create()
    run.config.parent.mkdir()
    run.config.write_text("seed: 1\n")
    (tmp_path / "train.log").write_text("")
    assert run.is_empty()


@pytest.mark.parametrize(
    "result",
    [
        "checkpoints/best.ckpt",
        "checkpoints/step-10.ckpt",
        "metrics.csv",
        "summary.json",
        "evaluation.json",
        "tensorboard/events.out.tfevents.1",
        "tensorboard/version_0/events.out.tfevents.1",
    ],
)
def test_any_result_makes_a_directory_not_empty(tmp_path: Path, result: str) -> None:
    run = RunDirectory(tmp_path)
    run.create()
    (tmp_path / result).parent.mkdir(exist_ok=True)
    (tmp_path / result).write_text("")
    assert not run.is_empty()


@pytest.mark.parametrize(
    ("status", "steps", "empty"),
    [("failed", None, True), ("failed", 0, True), ("failed", 3, False), ("running", None, False)],
)
def test_a_run_that_failed_before_its_first_step_left_nothing(
    status: Status, steps: int | None, empty: bool, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path)
    said = Summary.begin("typed", seed=1)
    said.status, said.reason, said.train.steps = status, "no text", steps
    said.write(run.summary)
    assert run.is_empty() == empty
    (tmp_path / "metrics.csv").write_text("step\n")
    assert not run.is_empty()


def test_claim_takes_the_first_free_name(tmp_path: Path) -> None:
    base = tmp_path / "a" / "12-00-00"
    assert [claim(base) for _ in range(3)] == [base, tmp_path / "a" / "12-00-00-2", tmp_path / "a" / "12-00-00-3"]
    assert base.is_dir()


def test_claim_steps_past_a_file_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "run").touch()
    assert claim(tmp_path / "run") == tmp_path / "run-2"


def test_claim_names_a_place_that_cannot_hold_directories(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        claim(tmp_path / "file" / "run")


def test_threads_never_claim_the_same_directory(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        claimed = list(pool.map(claim, [tmp_path / "run"] * 64))
    assert len(set(claimed)) == 64


def test_processes_never_claim_the_same_directory(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from lstm_lm.runs.directory import claim\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "for _ in range(50): print(claim(Path(sys.argv[1])))"
    )
    children = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "run")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(3)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:  # all at once, now that all have started
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    claimed = [line for child in children for line in child.communicate()[0].split()]
    assert all(child.returncode == 0 for child in children)
    assert len(claimed) == len(set(claimed)) == 150
    assert sorted(claimed) == sorted(str(path) for path in tmp_path.iterdir())
