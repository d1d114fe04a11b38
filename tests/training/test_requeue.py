"""SLURM's warning: the run is saved, and its job queued again."""

import os
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from jobs_in_process import as_in_a_process
from rich.console import Console

import lstm_lm
from lstm_lm.cli.main import main
from lstm_lm.errors import Interrupted
from lstm_lm.runs import checkpoint_file
from lstm_lm.stop_signals import warning_signal
from lstm_lm.sweeps import fresh_process
from lstm_lm.training import requeue
from lstm_lm.training.module import LanguageModelTask

Config = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.posix


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A SLURM job 42, whose `scontrol` writes down what it is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    told = tmp_path / "scontrol.log"
    script = folder / "scontrol"
    script.write_text(f'#!/bin/sh\necho "$@" >> {told}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "42")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    return told


def warn_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = LanguageModelTask.training_step

    def warned(task: LanguageModelTask, *arguments: Any) -> torch.Tensor:
        if task.global_step == step:
            signal.raise_signal(signal.SIGUSR1)
        return whole(task, *arguments)

    monkeypatch.setattr(LanguageModelTask, "training_step", warned)


def steps_taken(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the steps from now on, as they are taken."""
    steps: list[int] = []
    whole = LanguageModelTask.training_step

    def noted(task: LanguageModelTask, *arguments: Any) -> torch.Tensor:
        steps.append(task.global_step)
        return whole(task, *arguments)

    monkeypatch.setattr(LanguageModelTask, "training_step", noted)
    return steps


def test_the_run_is_saved_and_its_job_queued_again_and_continues(
    small_config: Config, tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config("trainer.max_steps=9", "resume=auto")
    said = StringIO()
    with monkeypatch.context() as once:
        warn_at(4, once)
        with pytest.raises(Interrupted) as caught:
            lstm_lm.train(config, tmp_path / "run", console=Console(file=said, width=200))
    assert caught.value.exit_status == 128 + signal.SIGUSR1
    assert slurm.read_text() == "requeue 42\n"
    assert "SLURM job 42 is queued again" in said.getvalue()
    assert checkpoint_file.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == 5
    assert lstm_lm.train(config, tmp_path / "run").train.steps == 9


def test_a_job_that_would_be_refused_is_not_queued_again(
    small_config: Config, tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warn_at(4, monkeypatch)
    said = StringIO()
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config("trainer.max_steps=9"), tmp_path / "run", console=Console(file=said, width=200))
    assert not slurm.exists()
    assert "start it with resume=auto" in said.getvalue()


def test_nor_is_one_whose_run_nothing_leads_back_to(
    small_config: Config, tmp_path: Path, slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a directory each call makes a new one, `resume=auto` or not."""
    monkeypatch.chdir(tmp_path)
    warn_at(4, monkeypatch)
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config("trainer.max_steps=9", "resume=auto"))
    assert not slurm.exists()


@pytest.fixture
def command(
    tmp_path: Path, small_file: Path, small_overrides: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What is typed for a run of nine steps, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return ["train", *small_overrides, f"data.path={small_file}", "data.cache_dir=cache", "trainer.max_steps=9"]


def test_a_sweep_in_a_named_folder_is_queued_again_and_continues(
    command: list[str], slurm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command += ["-m", "hydra.sweep.dir=swept", "seed=1,2"]
    monkeypatch.setattr(fresh_process, "run", as_in_a_process)
    with monkeypatch.context() as once:
        warn_at(4, once)
        assert main(command) == 128 + signal.SIGUSR1
    assert slurm.read_text() == "requeue 42\n"
    steps = steps_taken(monkeypatch)
    assert main(command) == 0
    assert steps == [*range(5, 9), *range(9)], "the first job goes on at step 5, the second begins"


def test_resume_auto_in_a_folder_named_by_the_time_is_not_queued_again(
    command: list[str], slurm: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    warn_at(4, monkeypatch)
    assert main([*command, "resume=auto"]) == 128 + signal.SIGUSR1
    assert not slurm.exists()
    assert "start it with resume=auto and hydra.run.dir=DIR" in capfd.readouterr().out


def test_a_task_of_an_array_is_named_by_array_and_number(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "40")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    assert requeue.requeue(resumable=True) == "SLURM job 40_2 is queued again"
    assert slurm.read_text() == "requeue 40_2\n"


def test_where_slurm_does_not_answer_that_is_said(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert requeue.requeue(resumable=True).startswith("SLURM job 42 could not be queued again: ")


def test_outside_of_slurm_the_signal_is_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    assert warning_signal() is None
    assert not requeue.is_asked_for(Interrupted(signal.SIGUSR1))
    assert not requeue.is_asked_for(KeyboardInterrupt())
