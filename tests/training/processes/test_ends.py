"""However a run on several processes ends, none of them is left, and one message says why."""

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from launched import SECONDS, TWO, Command, column, last, once, own_workers

import lstm_lm
from lstm_lm.errors import Interrupted, RunError
from lstm_lm.runs import summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.processes import launch

Config = Callable[..., dict[str, Any]]

RUN = "hydra.run.dir=run"
WITHOUT_END = (
    "trainer.max_epochs=-1",
    "trainer.max_time='00:00:05:00'",  # should what is to end it fail to
    "scheduler=constant",
    "callbacks.checkpoint.every_n_steps=3",
    RUN,
)
IMPATIENT = """
from lstm_lm.cli.main import run_script
from lstm_lm.training.processes import launch

launch.SECONDS_TO_END = 3
run_script("train")
"""

pytestmark = pytest.mark.posix


def gone(processes: list[psutil.Process], seconds: float = 10.0) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def test_killed_continued_and_interrupted_a_run_takes_the_steps_of_one_that_nobody_disturbed(
    small_config: Config, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The launcher is this process. In its two processes dropout differs; the second is killed, then Ctrl-C comes."""
    settings = (*TWO, *WITHOUT_END[:-1], "model.num_layers=2", "model.dropout=0.3", "callbacks.samples.length=0")
    run = RunDirectory(tmp_path / "run")
    with (
        once(run.last.exists, lambda _: own_workers()[1].kill()),
        pytest.raises(RunError, match=r"^process 1 of 2, counted from 0, was ended by signal 9\n.* resume=auto"),
    ):
        lstm_lm.train(small_config(*settings), run.path)
    assert own_workers() == []
    assert summary.read(run.summary).status == "failed"
    reached = last(run.path)["global_step"]

    with (
        once(lambda: last(run.path)["global_step"] > reached, lambda _: os.kill(os.getpid(), signal.SIGINT)),
        pytest.raises(Interrupted) as ended,
    ):
        lstm_lm.train(small_config(*settings, "resume=auto"), run.path)
    assert ended.value.exit_status == 130
    assert own_workers() == []
    assert capfd.readouterr().err == ""
    assert summary.read(run.summary).status == "interrupted"
    step = last(run.path)["global_step"]
    assert step == max(column(run.path, "train/loss")), "it was written where training stopped"

    lstm_lm.train(small_config(*settings, f"trainer.max_steps={step}"), tmp_path / "whole")
    assert column(run.path, "train/loss") == column(tmp_path / "whole", "train/loss")
    weights = last(run.path)["state_dict"]
    for name, tensor in last(tmp_path / "whole")["state_dict"].items():
        assert torch.equal(weights[name], tensor), name
    saved = last(run.path)["lstm_lm"]
    first, second = saved["generators"]["masks"], saved["other_processes"][0]["generators"]["masks"]
    assert second["seed"] == first["seed"] + 1
    assert not torch.equal(first["bits"], second["bits"])


@pytest.mark.matrix
def test_a_killed_worker_ends_the_run_with_a_message_and_it_continues(small_file: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, small_file, *WITHOUT_END)
    workers = command.wait_for(command.run.last)
    workers[1].kill()
    assert gone(workers, 30.0)
    _, err = command.process.communicate(timeout=60)
    assert command.process.returncode == 1
    assert err.splitlines() == [
        "error: process 1 of 2, counted from 0, was ended by signal 9",
        "so training stopped; continue from the last checkpoint with resume=auto and this hydra.run.dir",
    ]
    assert summary.read(command.run.summary).status == "failed"
    step = last(command.run.path)["global_step"]
    again = Command(tmp_path, small_file, *WITHOUT_END, "resume=auto", f"trainer.max_steps={step + 2}")
    _, err = again.process.communicate(timeout=SECONDS)
    assert (again.process.returncode, err) == (0, "")
    assert list(column(command.run.path, "train/loss")) == list(range(1, step + 3))


@pytest.mark.matrix
def test_a_killed_rank_0_ends_the_run_with_a_message(small_file: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, small_file, *WITHOUT_END)
    workers = command.wait_for(command.run.last)
    workers[0].kill()
    _, err = command.process.communicate(timeout=60)
    assert command.process.returncode == 1
    assert err.startswith("error: process 0 of 2, counted from 0, was ended by signal 9\n")
    assert len(err.splitlines()) == 2
    assert gone(workers)


MATRIX = pytest.mark.matrix


@pytest.mark.parametrize(
    ("name", "status", "everyone"),
    [
        pytest.param("SIGINT", 130, False, id="Ctrl-C", marks=MATRIX),
        pytest.param("SIGTERM", 143, True, id="SIGTERM to all processes", marks=MATRIX),
        pytest.param("SIGINT", 130, True, id="SIGINT to all processes", marks=MATRIX),
        pytest.param("SIGTERM", 143, False, id="SIGTERM", marks=MATRIX),
        pytest.param("SIGHUP", 129, False, id="SIGHUP", marks=MATRIX),
        pytest.param("SIGHUP", 129, True, id="a closed terminal", marks=MATRIX),
    ],
)
def test_a_signal_ends_all_with_a_checkpoint(
    name: str, status: int, everyone: bool, small_file: Path, tmp_path: Path
) -> None:
    command = Command(tmp_path, small_file, *WITHOUT_END)
    workers = command.wait_for(command.run.metrics)
    assert len(workers) == 2
    for process in [*workers, command.process] if everyone else [command.process]:
        process.send_signal(getattr(signal, name))
    _, err = command.process.communicate(timeout=60)
    assert (command.process.returncode, err) == (status, "")
    assert gone(workers)
    assert summary.read(command.run.summary).status == "interrupted"
    step = last(command.run.path)["global_step"]
    assert step == max(column(command.run.path, "train/loss")), "it was written where training stopped"


@pytest.mark.matrix
def test_a_signal_before_training_leaves_nothing(small_file: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, small_file, *WITHOUT_END)
    while not (workers := psutil.Process(command.process.pid).children()):
        time.sleep(0.02)
    command.process.terminate()
    _, err = command.process.communicate(timeout=60)
    assert (command.process.returncode, err) == (143, "")
    assert gone(workers)
    assert not command.run.last.exists()


@pytest.mark.matrix
@pytest.mark.parametrize(
    ("patience", "script"),
    [(3, IMPATIENT), pytest.param(30, IMPATIENT.replace("= 3", "= 30"), marks=MATRIX)],
    ids=["short", "as it is"],
)
def test_a_worker_that_hangs_holds_up_nobody(patience: int, script: str, small_file: Path, tmp_path: Path) -> None:
    mine = tmp_path / "impatient.py"
    mine.write_text(script)
    command = Command(tmp_path, small_file, *WITHOUT_END, script=mine)
    workers = command.wait_for(command.run.last)
    workers[1].suspend()
    command.process.terminate()
    assert gone(workers, patience + 10)
    _, err = command.process.communicate(timeout=60)
    assert command.process.returncode == 143
    assert err == f"2 processes were killed: not all had ended {patience} s after the signal\n"


def test_a_second_signal_ends_all_at_once(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is launched are two processes that do not heed the first, and that nobody else would kill in time."""
    monkeypatch.setattr(launch, "SECONDS_TO_END", 60)
    deaf = "import os, pathlib, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); "
    deaf += f"(pathlib.Path({str(tmp_path)!r}) / os.environ['RANK']).touch(); time.sleep(600)"
    monkeypatch.setattr(launch, "_START", deaf)
    alive: list[psutil.Process] = []
    ended_at_once: list[bool] = []

    def interrupt_twice(over: threading.Event) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        if over.wait(1.0):
            return
        alive.extend(own_workers())
        os.kill(os.getpid(), signal.SIGINT)
        ended_at_once.append(over.wait(launch.SECONDS_TO_END / 2))

    def both_are_there() -> bool:
        return all((tmp_path / rank).exists() for rank in "01")

    with once(both_are_there, interrupt_twice), pytest.raises(Interrupted) as ended:
        lstm_lm.train(small_config(*TWO), tmp_path / "run")
    assert ended.value.exit_status == 130
    assert len(alive) == 2
    assert ended_at_once == [True]
    assert gone(alive)


@pytest.mark.matrix
def test_a_second_signal_ends_a_hanging_run_at_once(small_file: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, small_file, *WITHOUT_END)
    workers = command.wait_for(command.run.last)
    workers[1].suspend()  # so that the first signal alone would take its time
    command.process.send_signal(signal.SIGINT)
    time.sleep(1.0)
    assert command.process.poll() is None
    command.process.send_signal(signal.SIGINT)
    assert gone(workers)
    command.process.communicate(timeout=60)
    assert command.process.returncode == 130


@pytest.mark.matrix
def test_workers_end_with_an_agent_that_is_killed(small_file: Path, tmp_path: Path) -> None:
    command = Command(tmp_path, small_file, *WITHOUT_END)
    workers = command.wait_for(command.run.metrics)
    command.process.kill()
    command.process.communicate(timeout=60)
    assert gone(workers, 20.0)
