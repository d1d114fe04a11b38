"""How processes meet that were started together: nobody waits for ever, and all is told."""

import logging
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import forked
import pytest
import torch.distributed as dist
from launched import ROOT, SECONDS, TOGETHER, TYPED, free_port
from tiers import first

import lstm_lm
from lstm_lm.errors import RunError, UserError
from lstm_lm.training.processes import join
from lstm_lm.training.processes.started import Started, address, started
from lstm_lm.training.processes.team import loss_of_another


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This process is rank 0 of a SLURM step of two, and patient for a second only."""
    names = {"JOB_ID": "42", "JOB_NAME": "x", "STEP_ID": "0", "NTASKS": "2", "PROCID": "0", "LOCALID": "0"}
    for name, value in names.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    monkeypatch.setattr(join, "SECONDS_TO_MEET", 1.0)
    logger = logging.getLogger("lstm_lm")
    level = logger.level
    with warnings.catch_warnings():  # another rank is quiet to its end, and this process goes on
        yield
    logger.setLevel(level)


Begin = Callable[[str, dict[str, str]], Callable[[], tuple[int, str]]]


@pytest.fixture(params=first(["copies", "new processes"]))
def begin(request: pytest.FixtureRequest, tmp_path: Path) -> Begin:
    """Runs code in a process of its own, with further variables in its environment; gives what waits for its end.

    That is its status, and what it has printed. By default the process is a copy of this one, where it can be copied.
    """

    def in_a_copy(code: str, environment: dict[str, str]) -> Callable[[], tuple[int, str]]:
        def run() -> None:
            os.environ.update(environment)
            exec(code, {})

        child = forked.start(run, tmp_path / f"{uuid4().hex}.log")
        return lambda: (child.wait(), child.said)

    def in_a_new_process(code: str, environment: dict[str, str]) -> Callable[[], tuple[int, str]]:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

        def end() -> tuple[int, str]:
            words = process.communicate(timeout=SECONDS)[0]
            return process.returncode, words

        return end

    return in_a_copy if request.param == "copies" and forked.THERE else in_a_new_process


def meet() -> None:
    with join.meet():
        pass


# Who was started with whom


def test_a_process_alone_is_in_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_STEP_ID", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert started() is None
    for name, value in {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "x"}.items():
        monkeypatch.setenv(name, value)
    assert started() is None, "a batch script that has not called srun is one process"


def test_one_task_of_a_step_is_alone(step: None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert started() == Started(0, 2, 0, own_devices=True)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert started() is None


def test_the_address_is_that_of_the_step_and_not_of_its_job(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLURM_JOB_ID", "1230042")
    monkeypatch.setenv("SLURM_NODELIST", "node[1-8]")
    assert address() == ("node1", 15_042)
    monkeypatch.setenv("SLURM_STEP_NODELIST", "node[5-8]")
    assert address() == ("node5", 15_042)


def test_processes_that_nobody_asked_to_work_together_are_refused(step: None, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"2 processes were started together.*\n.*device=ddp"):
        lstm_lm.train(lstm_lm.compose(*TYPED, "data.path=x.txt"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_script_of_the_users_own_is_refused_in_every_process(
    rank: str, step: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_PROCID", rank)
    with pytest.raises(UserError, match="not a script of your own"):
        lstm_lm.train(lstm_lm.compose(*TYPED, *TOGETHER[:2], "data.path=x.txt"), tmp_path / "run")


def test_a_sweep_is_not_for_several_started_processes(step: None) -> None:
    from lstm_lm.cli import train

    with pytest.raises(UserError, match="-m: 2 processes were started for one sweep"):
        train.run(["-m", "seed=1,2"], ["python", "train.py"])


# Nobody waits for ever


def test_a_process_that_never_comes_ends_the_waiting(step: None) -> None:
    with pytest.raises(RunError, match="process 1 of 2, counted from 0, has not come for 1 s"):
        meet()


def test_one_of_an_earlier_start_is_not_taken_for_one_that_has_come(
    step: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchrun starts all again and keeps the store, in which rank 1 had come and had been answered."""
    opened = join._open_store

    def with_an_earlier_start(process: Started) -> Any:
        store = opened(process)
        for key, value in {"arrived/1": "mine", "mine": "earlier", "earlier/1": ""}.items():
            dist.PrefixStore(join._job(), store).set(key, value)  # type: ignore[attr-defined]
        return store

    monkeypatch.setattr(join, "_open_store", with_an_earlier_start)
    with pytest.raises(RunError, match="process 1 of 2, counted from 0, has not come for 1 s"):
        meet()


def test_without_rank_0_the_others_give_up(step: None, monkeypatch: pytest.MonkeyPatch) -> None:
    host = dist.TCPStore("127.0.0.1", int(os.environ["MASTER_PORT"]), 2, True, wait_for_workers=False)  # type: ignore[attr-defined]
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setenv("SLURM_JOB_ID", "41")  # it meets another job's rank 0, at the same port
    with pytest.raises(RunError, match=r"process 1 of 2.*: process 0 is not at 127.0.0.1:\d+\n"):
        meet()
    del host


def test_a_stranger_at_the_port_is_not_waited_for(begin: Begin) -> None:
    """One that accepts connections, and says nothing: there torch's own timeout does not help."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        tried = (
            "from lstm_lm.training.processes import join, started; join.SECONDS_TO_MEET = 0.5; "
            "join._open_store(started.Started(1, 2, 1, True))"
        )
        port = str(stranger.getsockname()[1])
        status, words = begin(tried, {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port})()
    assert status == 1
    assert "error: process 1 of 2, counted from 0: process 0 is not at 127.0.0.1:" in words


def test_a_port_that_is_taken_is_named(step: None) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", int(os.environ["MASTER_PORT"])))
        taken.listen()
        with pytest.raises(
            UserError, match=r"port \d+: process 0 cannot listen.*\(address already in use\)\n.*MASTER_PORT="
        ):
            meet()


# What a team of two says to each other, and who is let go

TWO_RANKS = """
import os, sys, time
from lstm_lm.training.processes.join import join, meet

CPUS = {"accelerator": "cpu", "devices": 1, "strategy": "ddp", "precision": "32-true"}
rank = int(os.environ["SLURM_PROCID"])
with meet(), join(CPUS if rank == 0 else None) as team:
    {body}
"""


def two_ranks(begin: Begin, body: str) -> list[tuple[int, str]]:
    """What two processes end with, and print, that run `body` with their `team`."""
    names = {"JOB_ID": "42", "JOB_NAME": "x", "STEP_ID": "0", "NTASKS": "2"}
    shared = {f"SLURM_{name}": value for name, value in names.items()}
    shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    code = TWO_RANKS.replace("{body}", body.replace("\n", "\n    "))
    ends = [begin(code, shared | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank}) for rank in "01"]
    return [end() for end in ends]


def test_a_team_sends_agrees_gathers_and_averages(begin: Begin) -> None:
    talk = """
import torch
print(team.size, team.device, team.send(b"plan" * 3 if rank == 0 else None).decode())
print(team.agree(7 + rank), team.gather({"own": torch.tensor([rank] * (rank + 1))}))
print(team.mean(torch.tensor(1.0 + rank)))
"""
    mine, other = two_ranks(begin, talk)
    assert mine == (0, "2 cpu planplanplan\n7 [{'own': tensor([0])}, {'own': tensor([1, 1])}]\ntensor(1.5000)\n")
    assert other == (0, "2 cpu planplanplan\n7 []\ntensor(1.5000)\n")


def test_those_who_wait_for_a_plan_end_at_once_when_rank_0_is_killed(begin: Begin) -> None:
    waits = "team.send(None) if rank else (time.sleep(1), os.kill(os.getpid(), 9))"
    (killed, _), (status, words) = two_ranks(begin, waits)
    assert (killed, status) == (-9, 1)
    assert "Lost: process 1: another process has ended, or cannot be reached (" in words


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
