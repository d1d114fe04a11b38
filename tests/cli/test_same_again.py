"""Which commands, typed again, go on with what they have left: only those are worth SLURM's queueing them again."""

import os

import pytest
from cli_commands import Here, StandIn


@pytest.mark.parametrize(
    ("typed", "resumable"),
    [
        ("resume=auto hydra.run.dir=runs/big", True),
        pytest.param("resume=force hydra.run.dir=runs/big", True, marks=pytest.mark.matrix),
        ("resume=auto hydra.run.dir=runs/seed-${seed}", True),
        ("hydra.run.dir=runs/big", False),
        ("resume=auto", False),
        ("resume=auto hydra.run.dir=runs/${now:%H-%M}", False),
        pytest.param("resume=auto hydra.sweep.dir=swept", False, marks=pytest.mark.matrix),
    ],
)
def test_a_run(typed: str, resumable: bool, stand_in: StandIn, here: Here) -> None:
    assert here("train", *typed.split()).status == 0
    assert stand_in.resumable == [resumable]


@pytest.mark.parametrize(
    ("typed", "resumable"),
    [
        ("hydra.sweep.dir=swept", os.name == "posix"),
        ("hydra.sweep.dir=swept resume=never", False),
        pytest.param("resume=auto", False, marks=pytest.mark.matrix),
        pytest.param("hydra.sweep.dir=swept resume=auto", os.name == "posix", marks=pytest.mark.matrix),
        pytest.param("hydra.sweep.dir=swept/${now:%H-%M}", False, marks=pytest.mark.matrix),
        pytest.param("hydra.run.dir=runs/big resume=auto", False, marks=pytest.mark.matrix),
        pytest.param("", False, marks=pytest.mark.matrix),
    ],
)
def test_a_sweeps_jobs(
    typed: str, resumable: bool, stand_in: StandIn, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is a command of its own, which would be queued again in the sweep's place."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    assert here("train", "-m", "seed=1,2", *typed.split()).status == 0
    assert stand_in.resumable == [resumable] * 2
