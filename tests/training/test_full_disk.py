"""A disk that is full for a while, and one that stays so: the run goes on, and says so."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedRandom, StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lstm_lm
from lstm_lm.errors import RunError
from lstm_lm.runs import atomic, checkpoint_file, metrics_file, rotation
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.event_files import EventFiles

Config = Callable[..., dict[str, Any]]
EVERY = ("trainer.max_steps=8", "callbacks.checkpoint.every_n_steps=2", "callbacks.checkpoint.keep=9")


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """There is no space for files of which `refuses(path, attempt)`, attempts counted from 1 for each name, is true."""

    def make(refuses: Callable[[Path, int], bool]) -> None:
        replacing = atomic.replacing
        attempts: dict[str, int] = {}

        @contextmanager
        def failing(path: Path, *args: Any, **kwargs: Any) -> Iterator[BufferedRandom]:
            attempts[path.name] = attempts.get(path.name, 0) + 1
            if refuses(path, attempts[path.name]):
                raise atomic.write_error(path, OSError(errno.ENOSPC, "No space left on device"))
            with replacing(path, *args, **kwargs) as file:
                yield file

        monkeypatch.setattr(atomic, "replacing", failing)

    return make


def test_a_checkpoint_that_does_not_fit_is_told_and_training_goes_on(
    small_config: Config, tmp_path: Path, full: Any
) -> None:
    full(lambda path, attempt: path.name == "last.ckpt" and attempt in (2, 3))
    told = StringIO()
    run = RunDirectory(tmp_path / "run")
    summary = lstm_lm.train(small_config(*EVERY), run.path, console=Console(file=told, width=300))
    assert summary.status == "completed"
    assert told.getvalue().count("last.ckpt: cannot be written: No space left on device; training continues") == 2
    assert [checkpoint_file.load(path)["global_step"] for path in rotation.existing(run.last)] == [8, 2]
    assert [row["step"] for row in metrics_file.read(run.metrics)] == list(range(1, 9))


def test_a_run_whose_last_steps_are_not_saved_does_not_call_itself_complete(
    small_config: Config, tmp_path: Path, full: Any
) -> None:
    full(lambda path, attempt: path.name == "last.ckpt" and attempt >= 3)
    run = RunDirectory(tmp_path / "run")
    with pytest.raises(RunError, match=r"last\.ckpt: cannot be written: No space left"):
        lstm_lm.train(small_config(*EVERY), run.path)
    written = json.loads(run.summary.read_text())
    assert written["status"] == "failed"
    assert written["test"] is not None or written["val"] is not None
    assert checkpoint_file.load(run.last)["global_step"] == 4
    if run.best.exists():  # whatever it was written from, it is what it says
        best = checkpoint_file.load(run.best)
        assert best["global_step"] == best["lstm_lm"]["validation"]["step"]


def test_it_is_continued_from_the_one_before_and_ends_with_the_same_weights(
    small_config: Config, tmp_path: Path, full: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    full(lambda path, attempt: path.name == "last.ckpt" and attempt >= 3)
    with pytest.raises(RunError):
        lstm_lm.train(small_config(*EVERY), tmp_path / "run")
    monkeypatch.undo()
    lstm_lm.train(small_config(*EVERY, "resume=auto"), tmp_path / "run")
    lstm_lm.train(small_config(*EVERY), tmp_path / "whole")
    ends = [checkpoint_file.load(tmp_path / name / "checkpoints/last.ckpt") for name in ("run", "whole")]
    assert all((ends[0]["state_dict"][name] == value).all() for name, value in ends[1]["state_dict"].items())
    rows = [
        [(row["step"], row["train/loss"]) for row in metrics_file.read(tmp_path / name / "metrics.csv")]
        for name in ("run", "whole")
    ]
    assert rows[0] == rows[1]


def test_a_best_one_that_does_not_fit_is_tried_again_with_the_next_validation(
    small_config: Config, tmp_path: Path, full: Any
) -> None:
    full(lambda path, attempt: path.name == "best.ckpt" and attempt == 1)
    run = RunDirectory(tmp_path / "run")
    summary = lstm_lm.train(small_config("trainer.val_check_interval=4", "trainer.max_steps=8"), run.path)
    assert summary.status == "completed"
    assert checkpoint_file.load(run.best)["global_step"] == 8


def test_rows_of_metrics_wait_until_there_is_space(small_config: Config, tmp_path: Path, full: Any) -> None:
    full(lambda path, attempt: path.name == "metrics.csv" and attempt <= 3)
    told = StringIO()
    run = RunDirectory(tmp_path / "run")
    lstm_lm.train(small_config(*EVERY), run.path, console=Console(file=told, width=300))
    assert [row["step"] for row in metrics_file.read(run.metrics)] == list(range(1, 9))
    assert told.getvalue().count("metrics.csv: cannot be written") == 1


def test_events_wait_until_there_is_space(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = EventFiles._append
    tries: list[int] = []

    def failing(self: EventFiles, records: bytes) -> None:
        tries.append(len(records))
        if len(tries) <= 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(self, records)

    monkeypatch.setattr(EventFiles, "_append", failing)
    told = StringIO()
    run = RunDirectory(tmp_path / "run")
    lstm_lm.train(small_config(*EVERY), run.path, console=Console(file=told, width=300))
    assert told.getvalue().count("tensorboard: cannot be written: No space left on device; training continues") == 1
    assert len(tries) > 2
    board = EventAccumulator(str(run.tensorboard), size_guidance={"scalars": 0})
    board.Reload()
    assert [event.step for event in board.Scalars("train/loss")] == list(range(1, 9))
    assert [row["step"] for row in metrics_file.read(run.metrics)] == list(range(1, 9))


LIMITED = """
import json, resource, sys
import lstm_lm
from rich.console import Console

order = json.loads(sys.argv[1])
from lstm_lm.training import train
fit = train.fit
def limited(*arguments):
    resource.setrlimit(resource.RLIMIT_FSIZE, (order["bytes"], resource.RLIM_INFINITY))
    fit(*arguments)
train.fit = limited
lstm_lm.train(order["config"], order["run_dir"], console=Console(width=300))
"""


@pytest.mark.matrix
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="a limit on the size of files, for a disk that is full"
)
def test_a_limit_that_is_met_for_real(small_config: Config, tmp_path: Path) -> None:
    """No file can grow beyond 6 kB: table, event file and checkpoints fail, each in its way, and the run goes on."""
    config = small_config("trainer.max_steps=60", "trainer.max_epochs=-1", "callbacks.checkpoint.every_n_steps=10")
    order = {"config": config, "run_dir": str(tmp_path / "run"), "bytes": 6000}
    done = subprocess.run([sys.executable, "-c", LIMITED, json.dumps(order)], capture_output=True, text=True)
    assert done.returncode == 1
    for file in ("last.ckpt", "metrics.csv", "tensorboard"):
        assert f"{file}: cannot be written: File too large; training continues" in done.stdout, file
    assert done.stdout.count("metrics.csv: cannot be written") == 1
    assert done.stdout.count("tensorboard: cannot be written") == 1
    assert "Exception in thread" not in done.stderr
    run = RunDirectory(tmp_path / "run")
    assert not list(run.checkpoints.glob("*.ckpt"))
    assert metrics_file.read(run.metrics)[0]["step"] == 1
    assert len(run.event_files()) <= 2
    summary = lstm_lm.train(config | {"resume": "auto"}, run.path)
    assert (summary.status, summary.train.steps) == ("completed", 60)
    assert [row["step"] for row in metrics_file.read(run.metrics)] == list(range(1, 61))
