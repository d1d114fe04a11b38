"""A sweep whose jobs a launcher runs in other processes tells of them as one whose jobs it runs itself."""

import re
import signal
from pathlib import Path

import psutil
import pytest
from cli_commands import TINY, Here, Said, Underway, in_a_new_process, logged
from rich.console import Console

from lstm_lm.cli.sweep_lines import SweepLines
from lstm_lm.cli.sweep_plan import SweepPlan
from lstm_lm.runs import checkpoint_file, summary

pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
pytest.importorskip("hydra_plugins.hydra_submitit_launcher")

LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": ["hydra/launcher=submitit_local", "hydra.launcher.timeout_min=5"],
}
LONG = [
    *("trainer.max_steps=1500", "trainer.max_epochs=-1", "trainer.check_val_every_n_epoch=20"),
    "callbacks.checkpoint.every_n_steps=100",
]
"""Seconds: time to end a job between its first checkpoint and its last step."""


def table_of(said: Said) -> list[str]:
    """The lines of the table at the end, with its header."""
    lines = [line.rstrip() for line in said.out.splitlines()]
    begin = max(number for number, line in enumerate(lines) if re.match(r"job +status", line))
    return lines[begin : lines.index("", begin)]


def command_of(launcher: str, *more: str) -> list[str]:
    return ["-m", *LAUNCHERS[launcher], *more, "hydra.sweep.dir=swept"]


@pytest.mark.matrix
@pytest.mark.parametrize("launcher", ["joblib", "submitit_local"])
def test_a_launcher_may_run_the_jobs_in_other_processes(launcher: str, own_folder: Path, corpus: list[str]) -> None:
    """Side by side; table and exit status tell of all of them, and the same again does what is missing."""
    pytest.importorskip(f"hydra_plugins.hydra_{launcher.split('_')[0]}_launcher")
    more = ["hydra.launcher.n_jobs=2"] if launcher == "joblib" else ["hydra.launcher.timeout_min=5"]
    arguments = [line for line in TINY if not line.startswith("precision")]
    command = ["-m", f"hydra/launcher={launcher}", *more, *arguments, *corpus, "hydra.sweep.dir=swept"]
    said = in_a_new_process("train.py", *command, "precision=32-true,16-mixed", cwd=own_folder, COLUMNS="200")
    assert said.status == 1, said.err
    names = "1_precision=32-true", "2_precision=16-mixed"
    good, bad = (summary.read(own_folder / "swept" / name / "summary.json") for name in names)
    assert (good.status, bad.status) == ("completed", "failed")
    assert good.val is not None
    assert f"{good.val.loss:.4f}" in said.out
    assert re.search(r"failed +precision=16-mixed", said.out)
    again = in_a_new_process("train.py", *command, "precision=32-true,16-mixed", cwd=own_folder, COLUMNS="200")
    assert again.status == 1, again.err
    assert summary.read(own_folder / "swept" / "1_precision=32-true" / "summary.json") == good


@pytest.mark.matrix
def test_what_an_earlier_sweep_has_left_is_not_taken_for_this_ones(
    here: Here, own_folder: Path, corpus: list[str]
) -> None:
    """Jobs that are to go on with runs that were completed with other settings, and are refused."""
    typed = [*TINY, *corpus, "seed=1,2"]
    assert here("train", "-m", *typed, "hydra.sweep.dir=swept").status == 0
    typed += ["model.num_layers=3", "resume=auto"]
    itself = here("train", "-m", *typed, "hydra.sweep.dir=swept")
    assert itself.status == 2
    assert [row.split()[1] for row in table_of(itself)[1:]] == ["failed", "failed"]
    for launcher in LAUNCHERS:
        said = in_a_new_process("train.py", *command_of(launcher, *typed), cwd=own_folder, COLUMNS="200")
        assert said.status == itself.status, said
        assert table_of(said) == table_of(itself)
        assert "error: job 2: " in said.err, "submitit's jobs say it to a file only"
        assert "was trained with other settings" in said.err


@pytest.mark.matrix
@pytest.mark.posix
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_job_that_is_killed_leaves_the_others_alone(launcher: str, own_folder: Path, corpus: list[str]) -> None:
    command = command_of(launcher, *TINY, *corpus, *LONG, "seed=1,2")
    with Underway(command, own_folder) as sweep:
        killed = sweep.wait_for_a_checkpoint()
        sweep.job_of(killed).kill()
        said = sweep.end()
    assert said.status == 1
    assert [row.split()[:2] for row in table_of(said)[1:]] == [["1", "failed"], ["2", "completed"]]
    assert "error: job 1: ended by SIGKILL" in said.err
    assert "Traceback" not in said.err
    reached = checkpoint_file.load(killed.last)["global_step"]
    assert 0 < reached < 1500
    again = in_a_new_process("train.py", *command, cwd=own_folder, COLUMNS="200")
    assert again.status == 0, again.err
    assert [summary.read(path).train.steps for path in own_folder.glob("swept/*/summary.json")] == [1500, 1500]


@pytest.mark.matrix
@pytest.mark.posix
def test_a_worker_of_joblib_that_is_killed_ends_the_sweep_with_a_word(own_folder: Path, corpus: list[str]) -> None:
    with Underway(command_of("joblib", *TINY, *corpus, *LONG, "seed=1,2"), own_folder) as sweep:
        parent = sweep.job_of(sweep.wait_for_a_checkpoint()).parent()
        assert parent is not None
        parent.kill()
        said = sweep.end()
    assert said.status == 1
    assert {row.split()[1] for row in table_of(said)[1:]} <= {"unfinished", "failed", "interrupted"}
    assert "Traceback" not in said.err
    told = said.err[said.err.index("error: hydra/launcher") :].splitlines()
    assert len(told) <= 4
    assert told[0].startswith("error: hydra/launcher=joblib has ended the sweep: TerminatedWorkerError")
    assert "the same command with hydra.sweep.dir=swept" in said.out


@pytest.mark.matrix
@pytest.mark.posix
def test_a_job_that_submitit_is_told_to_pre_empt_is_started_again_and_goes_on(
    own_folder: Path, corpus: list[str]
) -> None:
    """SIGUSR2 is what submitit has SLURM send; its answer is to exit, with a status that says: start this again."""
    with Underway(command_of("submitit_local", *TINY, *corpus, *LONG, "seed=1"), own_folder) as sweep:
        run = sweep.wait_for_a_checkpoint()
        submitted = sweep.job_of(run).parent()
        assert submitted is not None
        submitted.send_signal(signal.SIGUSR2)
        said = sweep.end()
    assert said.status == 0, said
    assert summary.read(run.summary).train.steps == 1500
    assert logged(own_folder, "continued from") == 1
    assert re.search(r"^ *1 +completed ", said.out, re.MULTILINE)  # below its overrides, which are many


def test_a_sweep_whose_jobs_have_not_even_begun_is_no_success(
    own_folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Their processes could not read what the launcher had handed them, say."""
    lines = SweepLines(Console(width=200), Console(stderr=True, width=200))
    plan = SweepPlan([["seed=1"], ["seed=2"]], [], own_folder, "submitit_slurm")
    assert lines.conclude(plan, "attempt", ended=True) == 1
    out, err = capfd.readouterr()
    assert out.count("not run") == 2
    assert err.splitlines()[1] == "error: job 2: its process has ended before the job began"


@pytest.mark.matrix
@pytest.mark.posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_sweep_that_is_ended_leaves_no_job_at_work(
    number: signal.Signals, status: int, own_folder: Path, corpus: list[str]
) -> None:
    command = command_of("joblib", *TINY, *corpus, *LONG, "seed=1,2")
    with Underway(command, own_folder) as sweep:
        sweep.wait_for_a_checkpoint()
        jobs = sweep.descendants()
        sweep.process.send_signal(number)
        said = sweep.end()
    assert said.status == status
    assert "Traceback" not in said.err
    assert len(jobs) >= 2
    assert psutil.wait_procs(jobs, timeout=20)[1] == []
