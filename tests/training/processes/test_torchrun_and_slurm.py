"""Processes that torchrun or SLURM has started: one run, as if the project had started them itself."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from launched import TOGETHER, UNDISTURBED, Cluster, column, last
from tiers import first

import lstm_lm
from lstm_lm.runs import summary

EVERY_THIRD = "callbacks.checkpoint.every_n_steps=3"
NINE_STEPS = ("trainer.max_steps=9", "trainer.val_check_interval=4")
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
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def machine(small_file: Path, tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path, small_file)
    yield started
    started.end()


@pytest.fixture(scope="module")
def nine_steps(small_text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of nine steps on two processes that the project itself has started, without trouble."""
    folder = tmp_path_factory.mktemp("nine_steps")
    (folder / "text.txt").write_text(small_text, encoding="utf-8")
    typed = Cluster(folder, folder / "text.txt").typed
    lstm_lm.train(lstm_lm.compose(*typed, *TOGETHER[:2], "trainer.devices=2", *NINE_STEPS), folder / "run")
    return folder / "run"


def losses(run: Path) -> dict[str, dict[int, float]]:
    return {name: column(run, name) for name in ("train/loss", "val/loss")}


def troubled(machine: Cluster, trouble: str) -> Path:
    """A script that is train.py, with `trouble` (an expression of Python) before the fifth step."""
    path = machine.folder / "troubled.py"
    path.write_text(TROUBLED.format(trouble=trouble))
    return path


@pytest.mark.parametrize("launcher", first(["torchrun", "srun"]))
def test_a_launcher_trains_what_two_processes_of_the_project_train(
    launcher: str, machine: Cluster, undisturbed: Path
) -> None:
    ends = machine.srun(*UNDISTURBED) if launcher == "srun" else [machine.torchrun(*UNDISTURBED)]
    assert {status for status, _ in ends} == {0}, ends
    assert not {path.name for path in machine.folder.iterdir()} - {"run", "cache", "small.txt"}, "one run, not two"
    assert len(losses(undisturbed)["train/loss"]) >= 9
    assert losses(machine.run) == losses(undisturbed)
    ours, theirs = last(machine.run), last(undisturbed)
    assert all((ours["state_dict"][name] == value).all() for name, value in theirs["state_dict"].items())
    assert len(ours["lstm_lm"]["other_processes"]) == 1


@pytest.mark.matrix
def test_the_others_end_where_rank_0_is_refused_or_has_nothing_to_do(machine: Cluster) -> None:
    refused = machine.srun(*NINE_STEPS, "model.hidden_size=0")
    assert [status for status, _ in refused] == [2, 0]
    assert "model.hidden_size" in refused[0][1]
    assert refused[1][1] == ""
    assert [status for status, _ in machine.srun(*NINE_STEPS)] == [0, 0]
    status, words = machine.torchrun(*NINE_STEPS)
    assert status == 0
    assert "complete, nothing left to do" in words
    assert summary.read(machine.run / "summary.json").status == "completed"


# A process that is killed


@pytest.mark.matrix
def test_a_killed_process_ends_the_run_with_a_message_and_it_continues(machine: Cluster, nine_steps: Path) -> None:
    (first, words), (killed, _) = machine.srun(
        *NINE_STEPS, EVERY_THIRD, script=troubled(machine, f"rank == '1' and {KILLED}")
    )
    assert (first, killed) == (1, -signal.SIGKILL)
    assert "error: a process of 2 has ended, or cannot be reached (" in words
    assert "continue from the last checkpoint with resume=auto" in words
    assert "Traceback" not in words
    assert (summary.read(machine.run / "summary.json").status, last(machine.run)["global_step"]) == ("failed", 4)
    assert [status for status, _ in machine.srun(*NINE_STEPS, EVERY_THIRD)] == [0, 0]
    assert losses(machine.run) == losses(nine_steps)


@pytest.mark.matrix
def test_torchrun_starts_all_again_and_the_run_continues(machine: Cluster, nine_steps: Path) -> None:
    first = "rank == '1' and os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'"
    status, words = machine.torchrun(
        *NINE_STEPS, EVERY_THIRD, script=troubled(machine, f"{first} and {KILLED}"), options=("--max-restarts=1",)
    )
    assert status == 0, words
    assert "completed after 9 steps" in words
    assert losses(machine.run) == losses(nine_steps)


@pytest.mark.matrix
def test_the_others_say_in_a_line_that_rank_0_was_killed(machine: Cluster) -> None:
    (killed, _), (status, words) = machine.srun(*NINE_STEPS, script=troubled(machine, f"rank == '0' and {KILLED}"))
    assert (killed, status) == (-signal.SIGKILL, 1)
    assert words.startswith("error: process 1: another process has ended, or cannot be reached (")
    assert len(words.splitlines()) == 1


@pytest.mark.matrix
def test_an_error_of_rank_0_keeps_its_traceback(machine: Cluster) -> None:
    shapes = "rank == '0' and torch.zeros(2, 3) @ torch.zeros(2, 3)"
    (status, words), (other, line) = machine.srun(*NINE_STEPS, script=troubled(machine, shapes))
    assert (status, other) == (1, 1)
    assert "Traceback (most recent call last)" in words
    assert "mat1 and mat2 shapes cannot be multiplied" in words
    assert "has ended, or cannot be reached" not in words
    assert "Traceback" not in line
    assert len(line.splitlines()) == 1


# Signals


@pytest.mark.posix
@pytest.mark.matrix
def test_sigterm_to_all_saves_and_ends_them(machine: Cluster) -> None:
    at_once = "(time.sleep(0.2), os.kill(os.getpid(), signal.SIGTERM))"
    ended = machine.srun(*WITHOUT_END, script=troubled(machine, at_once))
    assert [status for status, _ in ended] == [143, 143], ended
    assert ended[1][1] == ""
    assert summary.read(machine.run / "summary.json").status == "interrupted"
    assert last(machine.run)["global_step"] == max(column(machine.run, "train/loss"))


@pytest.mark.matrix
@pytest.mark.posix
@pytest.mark.parametrize("to", ["os.getppid()", "os.getpid(), signal.SIGTERM) or os.kill(os.getppid()"])
def test_sigterm_to_torchrun_saves_too_and_to_all_at_once(to: str, machine: Cluster) -> None:
    status, words = machine.torchrun(
        *WITHOUT_END, script=troubled(machine, f"rank == '0' and os.kill({to}, signal.SIGTERM)")
    )
    assert status != 0
    assert "interrupted at step" in words
    assert summary.read(machine.run / "summary.json").status == "interrupted"
    assert last(machine.run)["global_step"] == max(column(machine.run, "train/loss"))


@pytest.mark.matrix
@pytest.mark.posix
def test_slurms_warning_saves_and_queues_the_job_again_once(machine: Cluster, tmp_path: Path) -> None:
    told = tmp_path / "scontrol.log"
    scontrol = tmp_path / "bin" / "scontrol"
    scontrol.parent.mkdir()
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    scontrol.chmod(0o755)
    machine.environment["PATH"] = f"{scontrol.parent}:{os.environ['PATH']}"
    warned = machine.srun(*NINE_STEPS, script=troubled(machine, "os.kill(os.getpid(), signal.SIGUSR1)"))
    assert [status for status, _ in warned] == [128 + signal.SIGUSR1] * 2, warned
    assert told.read_text() == "requeue 42\n"
    assert "SLURM job 42 is queued again" in warned[0][1]
    assert last(machine.run)["global_step"] == 5
