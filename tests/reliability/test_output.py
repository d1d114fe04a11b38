"""Nothing that is printed can end a run: not to a full disk, a closed pipe, or a terminal that is gone."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from forked import ROOT, at_step, command, start
from outcome import Outcome
from tiers import first

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


def test_a_full_disk_behind_standard_output(typed: tuple[str, ...], tmp_path: Path) -> None:
    assert start(command(*typed), descriptor=os.open("/dev/full", os.O_WRONLY)).wait() == 0
    is_whole(tmp_path / "run")


@pytest.mark.parametrize("log", ["/dev/full", "a file on the same disk"])
def test_the_warning_of_a_full_disk_is_printed_to_a_full_disk(log: str, typed: tuple[str, ...], tmp_path: Path) -> None:
    def train() -> None:
        disk_that_is_full_from(3, 6)
        command(*typed)()

    path = Path(log) if log == "/dev/full" else tmp_path / "output.log"
    child = start(train, descriptor=os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))
    assert child.wait() == 0, "" if log == "/dev/full" else path.read_text()
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


@pytest.mark.parametrize("errors", first(["standard output alone", "standard error, too"]))
def test_a_pipe_whose_reader_goes_after_the_first_words(errors: str, typed: tuple[str, ...], tmp_path: Path) -> None:
    """As in `train.py | head -1`, to the end of the interpreter: it flushes what is left."""
    both = errors == "standard error, too"
    with subprocess.Popen(
        [sys.executable, ROOT / "train.py", *typed],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if both else subprocess.PIPE,
    ) as child:
        assert child.stdout is not None
        child.stdout.read(1)
        child.stdout.close()
        said = b"" if child.stderr is None else child.stderr.read()
    assert child.returncode == 0, said
    assert b"Traceback" not in said
    is_whole(tmp_path / "run")
