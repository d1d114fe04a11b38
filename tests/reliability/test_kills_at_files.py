"""A run that is killed at a file operation, and once more while it resumes, ends as one that never was.

Equal to the bit: rows of metrics.csv, points of TensorBoard, weights of all checkpoints, the summary.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import at_step, die, log_to, logged, run, start, watch_files
from outcome import Outcome

import lstm_lm

pytestmark = pytest.mark.linux

Config = Callable[..., dict[str, Any]]
Keep = Callable[..., None]

STEPS = 7
SHORT = (
    "resume=auto",
    "data.seq_len=32",
    "trainer.max_epochs=-1",
    f"trainer.max_steps={STEPS}",
    "trainer.val_check_interval=3",
    "trainer.check_val_every_n_epoch=null",
    "callbacks.checkpoint.every_n_steps=2",
    "callbacks.checkpoint.keep=2",
    "callbacks.samples.length=0",
)
EVERY_SECOND_STEP = ("trainer.log_every_n_steps=2", "callbacks.checkpoint.every_n_steps=3")
"""Rows and checkpoints of different steps."""

KILLED = -9


class Runs:
    """One configuration: trained undisturbed, and killed."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.config = config
        self.folder = folder
        self.operations = self.go("whole")
        self.whole = Outcome.of(folder / "whole")

    def go(self, name: str, kill_at: int | None = None) -> list[list[str]]:
        """Train in the directory `name`; be killed before operation `kill_at`. Gives those that were begun."""
        log = self.folder / "operations.log"
        log.unlink(missing_ok=True)

        def train() -> None:
            note, count = log_to(log), 0

            def happens(kind: str, file: str) -> None:
                nonlocal count
                if kind != "read":
                    note(kind, file)
                    if count == kill_at:
                        die()
                    count += 1

            watch_files(self.folder / name, happens)
            lstm_lm.train(self.config, self.folder / name)

        child = start(train, self.folder / "output.log")
        ended, operations = child.wait(), logged(log)
        is_killed = kill_at is not None and len(operations) > kill_at  # a process that has little left to do is not
        assert ended == (KILLED if is_killed else 0), child.said[-3000:]
        return operations

    def differences(self, first: int, second: int | None) -> list[str]:
        """Of a run that is killed at these of its operations, and of those of its second process, then let go."""
        name = f"killed-{first}-{second}"
        places = [self.go(name, first)[-1]]
        if second is not None:
            places.append(self.go(name, second)[-1])
        self.go(name)
        found = Outcome.of(self.folder / name).differences(self.whole)
        return [f"killed at {places}: {difference}" for difference in found]


@pytest.fixture
def runs(small_config: Config, tmp_path: Path) -> Runs:
    return Runs(small_config(*SHORT), tmp_path)


def test_killed_at_some_file_operations_and_once_more_while_resuming(runs: Runs) -> None:
    """The last row, and the loss that the summary tells, are there although no step was left after the last kill."""
    among = len(runs.operations)
    saved = [number for number, place in enumerate(runs.operations) if place == ["rename", "checkpoints/last.ckpt"]]
    places = [(among // 3, 3), (among // 2, 20), (saved[-1] + 1, None)]
    assert [found for place in places for found in runs.differences(*place)] == []
    assert runs.whole.rows[-1]["step"] == STEPS
    assert runs.whole.summary["train"]["loss"] == runs.whole.rows[-1]["train/loss"]


def test_killed_between_two_flushes_and_with_the_clock_set_back_no_point_is_twice(
    small_config: Config, tmp_path: Path
) -> None:
    config = small_config(*SHORT)

    def train(name: str, day: int, last: int | None) -> Callable[[], None]:
        def do() -> None:
            now = time.time
            time.time = lambda: now() - day * 86_400
            if last is not None:
                at_step(last, die)
            lstm_lm.train(config, tmp_path / name)

        return do

    run(train("whole", 0, None), tmp_path / "output.log")
    for day, last in enumerate([4, 2]):  # after a validation; between a checkpoint and a validation
        child = start(train("killed", day, last), tmp_path / "output.log")
        assert child.wait() == KILLED, child.said
    run(train("killed", 2, None), tmp_path / "output.log")
    assert Outcome.of(tmp_path / "killed").differences(Outcome.of(tmp_path / "whole")) == []


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), EVERY_SECOND_STEP], ids=["every step", "every second step"])
def test_killed_at_every_file_operation_and_once_more_while_resuming(
    more: tuple[str, ...], small_config: Config, tmp_path: Path, keep: Keep
) -> None:
    runs = Runs(small_config(*SHORT, *more), tmp_path)
    among = len(runs.operations)
    runs.go("half", among // 2)
    resuming = len(runs.go("half"))
    places = [
        *((first, 5 * first % 20) for first in range(among)),  # ends early enough to be met in every second process
        *((among // 2, second) for second in range(resuming)),
    ]
    found = [runs.differences(*place) for place in places]
    if not more:
        keep("kills_at_files", places=len(places), exact=found.count([]))
    assert [line for differences in found for line in differences] == []
