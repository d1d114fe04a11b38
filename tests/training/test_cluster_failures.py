"""Processes that torchrun or SLURM has started, when something goes wrong: nobody waits for ever, and all is told."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from launched import ROOT, TOGETHER, Cluster, free_port
from lstm_lm.training.cluster import Others
from lstm_lm.training.distributed import Team, loss_of_another
from lstm_lm.training.meeting_place import Membership

import lstm_lm
from lstm_lm.errors import RunError, UserError
from lstm_lm.runs import checkpoint_file, metrics_file, summary
from lstm_lm.training import cluster, meeting_place

EVERY_THIRD = "callbacks.checkpoint.every_n_steps=3"
NINE_STEPS = "trainer.max_steps=9"
WITHOUT_END = ("trainer.max_epochs=-1", "scheduler=constant")
TROUBLED = """
import os, signal, time, torch
from lstm_lm.cli.main import run_script
from lstm_lm.training.module import LanguageModelTask

rank = os.environ.get("RANK") or os.environ["SLURM_PROCID"]
whole = LanguageModelTask.training_step

def troubled(task, *arguments):
    if task.global_step == 4:
        {trouble}
    return whole(task, *arguments)

LanguageModelTask.training_step = troubled
run_script("train")
"""


def last_step(run: Path) -> int:
    return int(checkpoint_file.load(run / "checkpoints" / "last.ckpt")["global_step"])


def losses(run: Path) -> list[tuple[float, float]]:
    return [(row["step"], row["train/loss"]) for row in metrics_file.read(run / "metrics.csv")]


@pytest.fixture
def machine(small_file: Path, tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path, small_file)
    yield started
    started.end()


@pytest.fixture(scope="module")
def undisturbed(small_text: str, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, float]]:
    """The losses of the same nine steps, without a launcher and without trouble."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "text.txt").write_text(small_text, encoding="utf-8")
    typed = Cluster(folder, folder / "text.txt").typed
    lstm_lm.train(lstm_lm.compose(*typed, *TOGETHER[:2], "trainer.devices=2", NINE_STEPS), folder / "run")
    return losses(folder / "run")


def troubled(machine: Cluster, trouble: str) -> Path:
    """A script that is train.py, with `trouble` (an expression of Python) before the fifth step."""
    path = machine.folder / "troubled.py"
    path.write_text(TROUBLED.format(trouble=trouble))
    return path


# A process that is killed


KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


def test_a_killed_process_ends_the_run_with_a_message_and_it_continues(
    machine: Cluster, undisturbed: list[tuple[float, float]]
) -> None:
    began = time.monotonic()
    (leader, words), (killed, _) = machine.srun(
        NINE_STEPS, EVERY_THIRD, script=troubled(machine, f"rank == '1' and {KILLED}")
    )
    assert time.monotonic() - began < 60
    assert (leader, killed) == (1, -signal.SIGKILL)
    assert "error: a process of 2 has ended, or cannot be reached (" in words
    assert "continue from the last checkpoint with resume=auto" in words
    assert "Traceback" not in words
    assert (summary.read(machine.run / "summary.json").status, last_step(machine.run)) == ("failed", 3)
    assert [status for status, _ in machine.srun(NINE_STEPS, EVERY_THIRD)] == [0, 0]
    assert losses(machine.run) == undisturbed


def test_torchrun_starts_all_again_and_the_run_goes_on(
    machine: Cluster, undisturbed: list[tuple[float, float]]
) -> None:
    first = "rank == '1' and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'"
    status, words = machine.torchrun(
        NINE_STEPS, EVERY_THIRD, script=troubled(machine, f"{first} and {KILLED}"), options=("--max-restarts=1",)
    )
    assert status == 0, words
    assert "completed after 9 steps" in words
    assert losses(machine.run) == undisturbed


def test_the_others_say_in_a_line_that_the_first_was_killed(machine: Cluster) -> None:
    (killed, _), (status, words) = machine.srun(NINE_STEPS, script=troubled(machine, f"rank == '0' and {KILLED}"))
    assert (killed, status) == (-signal.SIGKILL, 1)
    assert words.startswith("process 1: another process has ended, or cannot be reached (")
    assert len(words.splitlines()) == 1


# An error of one's own


def test_an_error_of_the_first_process_keeps_its_traceback(machine: Cluster) -> None:
    shapes = "rank == '0' and torch.zeros(2, 3) @ torch.zeros(2, 3)"
    (status, words), (other, line) = machine.srun(NINE_STEPS, script=troubled(machine, shapes))
    assert (status, other) == (1, 1)
    assert "Traceback (most recent call last)" in words
    assert "mat1 and mat2 shapes cannot be multiplied" in words
    assert "has ended, or cannot be reached" not in words
    assert "Traceback" not in line
    assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            RuntimeError(
                "[/src/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.7]:1."
            ),
            "Connection closed by peer [10.0.0.7]:1.",
        ),
        (dist.DistNetworkError("Failed to recv, got 0 bytes. Connection was likely closed."), "Failed to recv"),
        (
            dist.DistBackendError("NCCL error in: x.cpp:1, remote process exited\nncclRemoteError: A call failed"),
            "NCCL",
        ),
        (dist.DistBackendError("NCCL error in: x.cpp:1, unhandled cuda error\nncclUnhandledCudaError: Call"), None),
        (RuntimeError("CUDA error: device-side assert triggered"), None),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), None),
        (ConnectionResetError("Connection reset by peer"), None),  # of a download, say
    ],
)
def test_which_errors_tell_of_a_process_that_is_lost(error: Exception, told: str | None) -> None:
    found = loss_of_another(error)
    assert (found is None) == (told is None)
    assert (found or "").startswith(told or "")


# Signals


@pytest.mark.posix
def test_sigterm_to_all_saves_and_ends_them(machine: Cluster) -> None:
    at_once = "(time.sleep(0.2), os.kill(os.getpid(), signal.SIGTERM))"
    ended = machine.srun(*WITHOUT_END, script=troubled(machine, at_once))
    assert [status for status, _ in ended] == [143, 143], ended
    assert ended[1][1] == ""
    assert summary.read(machine.run / "summary.json").status == "interrupted"
    assert last_step(machine.run) == losses(machine.run)[-1][0]


@pytest.mark.posix
def test_sigterm_to_torchrun_saves_too(machine: Cluster) -> None:
    status, words = machine.torchrun(
        *WITHOUT_END, script=troubled(machine, "rank == '0' and os.kill(os.getppid(), signal.SIGTERM)")
    )
    assert status != 0
    assert "interrupted at step" in words
    assert summary.read(machine.run / "summary.json").status == "interrupted"
    assert last_step(machine.run) == losses(machine.run)[-1][0]


@pytest.mark.posix
def test_slurms_warning_saves_and_queues_the_job_again_once(machine: Cluster, tmp_path: Path) -> None:
    told = tmp_path / "scontrol.log"
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    scontrol.chmod(0o755)
    machine.environment["PATH"] = f"{scontrol.parent}:{os.environ['PATH']}"
    warned = machine.srun(NINE_STEPS, script=troubled(machine, "os.kill(os.getpid(), signal.SIGUSR1)"))
    assert [status for status, _ in warned] == [128 + signal.SIGUSR1] * 2, warned
    assert told.read_text() == "requeue 42\n"
    assert "SLURM job 42 is queued again" in warned[0][1]
    assert last_step(machine.run) == 5


# Nobody waits for ever


@pytest.fixture
def first_of_two(monkeypatch: pytest.MonkeyPatch) -> Any:
    """This process is process 0 of 2, and is patient for a second only; gives the store at which they meet."""
    step = {"JOB_ID": "42", "JOB_NAME": "x", "STEP_ID": "0", "NTASKS": "2", "PROCID": "0", "LOCALID": "0"}
    for name, value in step.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.setattr(meeting_place, "_STORES", [])
    monkeypatch.setattr(cluster, "SECONDS_OF_NO_SIGN", 1.0)
    monkeypatch.setattr(cluster, "SECONDS_BETWEEN_SIGNS", 0.1)
    monkeypatch.setattr(meeting_place, "SECONDS_TO_MEET", 2.0)
    return meeting_place.meeting_place(Membership(0, 2, 0, own_devices=True))


def test_a_process_that_never_comes_ends_the_waiting(first_of_two: Any) -> None:
    with pytest.raises(RunError, match="process 1 of 2, counted from 0, has not come for 1 seconds"):
        Others(Team(0, 2)).join({}, torch.device("cpu"))


def test_a_process_that_dies_before_it_is_ready_ends_the_waiting(first_of_two: Any) -> None:
    first_of_two.set("came/1", "second")
    dies = threading.Event()
    life = threading.Thread(target=cluster._show_life, args=(dist.PrefixStore("second", first_of_two), dies))
    life.start()
    began = time.monotonic()
    threading.Timer(2.0, dies.set).start()
    with pytest.raises(RunError, match="process 1 of 2, counted from 0, has shown no life for 1 seconds"):
        Others(Team(0, 2)).join({}, torch.device("cpu"))
    assert time.monotonic() - began > 2.5, "as long as it shows life, it is waited for"
    life.join()


def test_one_of_an_earlier_start_is_not_taken_for_one_that_has_come(first_of_two: Any) -> None:
    """torchrun starts all again and keeps the store; that another machine counts restarts differently is no matter."""
    for key, value in {"came/1": "earlier", "earlier/order": "null", "earlier/ready": ""}.items():
        first_of_two.set(key, value)
    with pytest.raises(RunError, match="process 1 of 2, counted from 0, has not come for 1 seconds"):
        Others(Team(0, 2)).join({}, torch.device("cpu"))


def test_what_a_process_says_ends_the_waiting(first_of_two: Any) -> None:
    first_of_two.set("came/1", "second")
    first_of_two.set("second/ready", "ended before training began; it says why above")
    with pytest.raises(RunError, match="process 1 of 2, counted from 0: ended before training began"):
        Others(Team(0, 2)).join({}, torch.device("cpu"))


def test_without_the_first_process_the_others_give_up(first_of_two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting_place, "_STORES", [])
    monkeypatch.setattr(meeting_place, "SECONDS_TO_MEET", 0.5)
    monkeypatch.setenv("SLURM_JOB_ID", "41")  # it meets another job's process 0, at the same port
    with pytest.raises(RunError, match=r"process 1 of 2.*: process 0 is not at 127.0.0.1:\d+\n"):
        cluster.follow_along(Membership(1, 2, 1, own_devices=True))


def test_a_stranger_at_the_port_is_not_waited_for(tmp_path: Path) -> None:
    """One that accepts connections, and says nothing: there torch's own timeout does not help."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        patience = (
            "from lstm_lm.training import cluster, meeting_place; meeting_place.SECONDS_TO_MEET = 0.5; "
            "cluster.follow_along(member)"
        )
        member = "from lstm_lm.training.meeting_place import Membership; member = Membership(1, 2, 1, True)"
        done = subprocess.run(
            [sys.executable, "-c", f"{member}; {patience}"],
            env=os.environ
            | {"PYTHONPATH": str(ROOT / "src"), "MASTER_ADDR": "127.0.0.1"}
            | {"MASTER_PORT": str(stranger.getsockname()[1])},
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert "error: process 1 of 2, counted from 0: process 0 is not at 127.0.0.1:" in done.stderr


def test_a_port_that_is_taken_is_named(first_of_two: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting_place, "_STORES", [])
    with pytest.raises(
        UserError, match=r"port \d+: process 0 cannot listen.*\(address already in use\)\n.*MASTER_PORT="
    ):
        meeting_place.meeting_place(Membership(0, 2, 0, own_devices=True))


def test_the_address_is_that_of_the_step_and_not_of_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1230042")
    monkeypatch.setenv("SLURM_NODELIST", "node[1-8]")
    assert meeting_place._address() == ("node1", 15_042)
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[5-8]")
    assert meeting_place._address() == ("node5", 15_042)
