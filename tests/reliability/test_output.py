"""Nothing that is printed can end a run: not to a full disk, a closed pipe, or a terminal that is gone."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import ROOT, at_step, command, start
from outcome import Outcome

pytestmark = pytest.mark.linux

STEPS = 8


@pytest.fixture
def typed(small_overrides: tuple[str, ...], small_file: Path, tmp_path: Path) -> tuple[str, ...]:
    """What is typed behind `train.py`."""
    return (
        *small_overrides,
        f"data.path='{small_file}'",
        f"data.cache_dir='{tmp_path / 'cache'}'",
        f"hydra.run.dir='{tmp_path / 'run'}'",
        "trainer.max_epochs=-1",
        f"trainer.max_steps={STEPS}",
        "trainer.val_check_interval=3",
        "trainer.check_val_every_n_epoch=null",
        "callbacks.checkpoint.every_n_steps=2",
    )


def is_whole(run: Path) -> None:
    outcome = Outcome.of(run)
    assert outcome.summary["status"] == "completed"
    assert [row["step"] for row in outcome.rows] == list(range(1, STEPS + 1))
    assert outcome.steps["last"] == STEPS


def disk_that_is_full_from(first: int, last: int) -> None:
    """No file may grow at all, from step `first` to step `last`; there are warnings of that."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    at_step(first, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard)))
    at_step(last, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard)))


@pytest.mark.parametrize("disk", ["disk with space", "full disk"])
def test_a_full_disk_behind_standard_output(disk: str, typed: tuple[str, ...], tmp_path: Path) -> None:
    """The second time with something to say: the warning of a full disk."""

    def train() -> None:
        if disk == "full disk":
            disk_that_is_full_from(3, 6)
        command(*typed)()

    assert start(train, descriptor=os.open("/dev/full", os.O_WRONLY)).wait() == 0
    is_whole(tmp_path / "run")


def test_a_terminal_that_is_closed_while_a_run_that_ignores_that_trains(typed: tuple[str, ...], tmp_path: Path) -> None:
    terminal, inside = pty.openpty()

    def train() -> None:
        os.close(terminal)
        os.setsid()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.dup2(inside, 0)
        command(*typed)()

    child = start(train, descriptor=inside)
    os.close(inside)
    os.read(terminal, 1)
    os.close(terminal)
    assert child.wait() == 0
    is_whole(tmp_path / "run")


def closed_pipe() -> int:
    reads, writes = os.pipe()
    os.close(reads)
    return writes


@pytest.mark.parametrize("streams", ["standard output", "both"])
def test_a_pipe_whose_reader_has_gone(streams: str, typed: tuple[str, ...], tmp_path: Path) -> None:
    """As in `train.py | head`, to the end of the interpreter: it flushes what is left."""
    target: Callable[[], int] = closed_pipe
    out = target()
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", *typed],
        stdout=out,
        stderr=out if streams == "both" else subprocess.PIPE,
        check=False,
    )
    os.close(out)
    assert done.returncode == 0, done.stderr
    is_whole(tmp_path / "run")
