"""Processes that torchrun or SLURM has started: one run, as if the project had started them itself."""

from pathlib import Path

import pytest
from launched import TOGETHER, Cluster
from lstm_lm.training.meeting_place import membership

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.runs import checkpoint_file, metrics_file, summary


def losses(run: Path) -> list[tuple[float, float]]:
    return [(row["step"], row["train/loss"]) for row in metrics_file.read(run / "metrics.csv")]


@pytest.fixture
def typed(small_file: Path, tmp_path: Path) -> list[str]:
    return Cluster(tmp_path, small_file).typed


SIX_STEPS = "trainer.max_steps=6"


@pytest.mark.parametrize("launcher", ["torchrun", "srun"])
def test_a_launcher_trains_what_two_processes_of_the_project_train(
    launcher: str, typed: list[str], small_file: Path, tmp_path: Path
) -> None:
    own = lstm_lm.compose(*typed, *TOGETHER[:2], "trainer.devices=2", SIX_STEPS)
    lstm_lm.train(own, tmp_path / "own")
    machine = Cluster(tmp_path / launcher, small_file)
    ends = machine.srun(SIX_STEPS) if launcher == "srun" else [machine.torchrun(SIX_STEPS)]
    assert {status for status, _ in ends} == {0}, ends
    assert {path.name for path in machine.folder.iterdir()} == {"run", "cache"}  # one run, though two were started
    assert losses(machine.run) == losses(tmp_path / "own")
    mine, own_end = (checkpoint_file.load(run / "checkpoints" / "last.ckpt") for run in (machine.run, tmp_path / "own"))
    assert all((mine["state_dict"][name] == value).all() for name, value in own_end["state_dict"].items())
    assert len(mine["lstm_lm"]["other_processes"]) == 1


def test_the_others_end_where_the_first_is_refused_or_has_nothing_to_do(small_file: Path, tmp_path: Path) -> None:
    machine = Cluster(tmp_path, small_file)
    refused = machine.srun(SIX_STEPS, "model.hidden_size=0")
    assert [status for status, _ in refused] == [2, 0]
    assert "model.hidden_size" in refused[0][1]
    assert refused[1][1] == ""
    assert [status for status, _ in machine.srun(SIX_STEPS)] == [0, 0]
    complete = machine.srun(SIX_STEPS)
    assert [status for status, _ in complete] == [0, 0]
    assert "complete, nothing left to do" in complete[0][1]
    assert summary.read(tmp_path / "run" / "summary.json").status == "completed"


def test_processes_that_nobody_asked_to_work_together_are_refused(
    typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_srun = {"STEP_ID": "0", "NTASKS": "2", "PROCID": "0", "LOCALID": "0", "JOB_NAME": "x"}
    for name, value in by_srun.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(UserError, match=r"2 processes were started together.*\n.*device=ddp"):
        lstm_lm.train(lstm_lm.compose(*typed), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_script_of_the_users_own_is_refused_in_every_process(
    rank: str, typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"STEP_ID": "0", "NTASKS": "2", "PROCID": rank, "LOCALID": rank, "JOB_NAME": "x"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(UserError, match="not a script of your own"):
        lstm_lm.train(lstm_lm.compose(*typed, *TOGETHER[:2]), tmp_path / "run")


def test_a_process_alone_is_in_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_STEP_ID", "SLURM_NTASKS", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert membership() is None
    for name, value in {"SLURM_NTASKS": "4", "SLURM_PROCID": "0", "SLURM_JOB_NAME": "x"}.items():
        monkeypatch.setenv(name, value)
    assert membership() is None  # a batch script that has not called srun is one process
