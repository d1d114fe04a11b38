"""What once went wrong: two commands in one directory, a signal at a bad moment, a finished run that is typed again."""

import json
import os
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import SECONDS, at_step, command, contents, log_to, logged, run, start, watch_files
from outcome import Outcome
from tiers import smallest

import lstm_lm
from lstm_lm.errors import Interrupted
from lstm_lm.runs.writer import RunWriter
from lstm_lm.training.module import LanguageModelTask

pytestmark = pytest.mark.linux

Config = Callable[..., dict[str, Any]]
STEPS = 6
SHORT = (
    "resume=auto",
    "trainer.max_epochs=-1",
    f"trainer.max_steps={STEPS}",
    "callbacks.checkpoint.every_n_steps=2",
    "callbacks.samples.length=0",
)


@pytest.fixture
def typed(small_overrides: tuple[str, ...], small_file: Path, tmp_path: Path) -> tuple[str, ...]:
    """What is typed behind `train.py`."""
    paths = (
        f"data.path='{small_file}'",
        f"data.cache_dir='{tmp_path / 'cache'}'",
        f"hydra.run.dir='{tmp_path / 'run'}'",
    )
    return (*small_overrides, *SHORT, *paths)


def status(run: Path) -> str:
    told: str = json.loads((run / "summary.json").read_text())["status"]
    return told


def step_of(checkpoint: Path) -> int:
    step: int = torch.load(checkpoint, weights_only=True)["global_step"]
    return step


# Signals.


def interrupted_at(step: int, number: signal.Signals, config: dict[str, Any], folder: Path) -> list[int]:
    """The steps of last.ckpt and of the one before, once a signal came during `step`."""

    def train() -> None:
        at_step(step, lambda: signal.raise_signal(number))
        try:
            lstm_lm.train(config, folder / "run")
        except Interrupted:
            return
        raise AssertionError("the signal was not heard")

    run(train, folder / "output.log")
    assert status(folder / "run") == "interrupted"
    return [step_of(folder / "run/checkpoints" / name) for name in ("last.ckpt", "last-1.ckpt")]


def test_a_signal_at_a_step_whose_checkpoint_is_due_leaves_two_different_ones(
    small_config: Config, tmp_path: Path
) -> None:
    config = small_config(*SHORT, "callbacks.checkpoint.keep=2")
    assert interrupted_at(4, signal.SIGINT, config, tmp_path) == [4, 2]


def test_a_signal_at_the_last_step_of_an_epoch_leaves_two_different_ones(small_config: Config, tmp_path: Path) -> None:
    shape = ("data.seq_len=128", "trainer.max_steps=-1", "callbacks.samples.length=0")
    limits = ("callbacks.checkpoint.every_n_steps=1000", "callbacks.checkpoint.keep=2")
    run(
        lambda: lstm_lm.train(small_config(*shape, *limits, "trainer.max_epochs=1"), tmp_path / "one"),
        tmp_path / "output.log",
    )
    epoch = step_of(tmp_path / "one/checkpoints/last.ckpt")
    config = small_config(*shape, *limits, "trainer.max_epochs=3")
    assert interrupted_at(2 * epoch, signal.SIGTERM, config, tmp_path) == [2 * epoch, epoch]


def test_a_validation_that_a_signal_ended_is_made_first_and_within_the_run(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it may write, best.ckpt, belongs to a run that has begun."""
    config = small_config(*SHORT, "trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=4")
    validated, saved = LanguageModelTask.validation_step, RunWriter.save
    monkeypatch.setattr(LanguageModelTask, "validation_step", lambda *_: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted):
        lstm_lm.train(config, tmp_path / "run")
    written: list[tuple[str, int, bool]] = []

    def save(self: RunWriter, checkpoint: dict[str, Any], path: Path) -> bool:
        written.append((path.name, checkpoint["global_step"], self.begun))
        return saved(self, checkpoint, path)

    monkeypatch.setattr(LanguageModelTask, "validation_step", validated)
    monkeypatch.setattr(RunWriter, "save", save)
    assert step_of(tmp_path / "run/checkpoints/last.ckpt") == 4
    lstm_lm.train(config, tmp_path / "run")
    assert written[0] == ("best.ckpt", 4, True)


# Two commands.


def wait_for(file: Path) -> None:
    deadline = time.monotonic() + SECONDS
    while not file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("way", smallest(["as it is", "through a link", "with another TMPDIR"], "through a link"))
def test_the_command_that_trains_typed_once_more_is_refused_and_changes_nothing(
    way: str, typed: tuple[str, ...], tmp_path: Path
) -> None:
    folder, link = tmp_path / "run", tmp_path / "link"
    link.symlink_to(folder)
    reached, may_go_on = tmp_path / "reached", tmp_path / "may_go_on"

    def first() -> None:
        def pause() -> None:
            reached.touch()
            wait_for(may_go_on)

        at_step(5, pause)
        command(*typed)()

    def second() -> None:
        if way == "with another TMPDIR":
            os.environ["TMPDIR"] = str(tmp_path)
            tempfile.tempdir = None
        at_step(1, lambda: os._exit(77))  # it trains
        command(*typed, *([f"hydra.run.dir='{link}'"] if way == "through a link" else []))()

    training = start(first, tmp_path / "first.log")
    wait_for(reached)
    before = contents(folder)
    refused = start(second, tmp_path / "second.log")
    ended, after = refused.wait(), contents(folder)
    may_go_on.touch()
    assert training.wait() == 0, training.said
    assert ended == 2, refused.said
    assert 1 <= len(refused.said.strip().splitlines()) <= 4, refused.said
    assert [name for name in before.keys() | after.keys() if before.get(name, 0) != after.get(name, 0)] == []
    assert status(folder) == "completed"
    assert [row["step"] for row in Outcome.of(folder).rows] == list(range(1, STEPS + 1))


def test_of_two_that_start_together_one_trains_and_the_other_leaves_its_files_alone(
    typed: tuple[str, ...], tmp_path: Path
) -> None:
    run(command(*typed, f"hydra.run.dir='{tmp_path / 'alone'}'"), tmp_path / "alone.log")

    def slowly() -> None:  # so that the other one comes while it trains
        at_step(STEPS, lambda: time.sleep(3))
        command(*typed)()

    children = [start(slowly, tmp_path / f"{number}.log") for number in (1, 2)]
    ended = [child.wait() for child in children]
    assert sorted(ended) == [0, 2], "\n---\n".join(child.said for child in children)
    assert Outcome.of(tmp_path / "run").differences(Outcome.of(tmp_path / "alone")) == []


# Resuming.


def test_resuming_opens_last_ckpt_once(small_config: Config, tmp_path: Path) -> None:
    folder, log = tmp_path / "run", tmp_path / "opened.log"
    run(lambda: lstm_lm.train(small_config(*SHORT, "trainer.max_steps=4"), folder), tmp_path / "output.log")

    def resume() -> None:
        note = log_to(log)
        begun = False

        def begin() -> None:
            nonlocal begun
            begun = True

        def happens(kind: str, file: str) -> None:
            if kind == "read" and file.startswith("checkpoints/") and file.endswith(".ckpt") and not begun:
                note(file)

        watch_files(folder, happens)
        at_step(1, begin)
        lstm_lm.train(small_config(*SHORT), folder)

    run(resume, tmp_path / "output.log")
    opened = [file for (file,) in logged(log)]
    assert opened.count("checkpoints/last.ckpt") == 1, opened
    assert len(set(opened)) == len(opened), opened


def test_a_finished_run_typed_again_says_complete_and_changes_no_byte(typed: tuple[str, ...], tmp_path: Path) -> None:
    run(command(*typed), tmp_path / "first.log")
    before = contents(tmp_path / "run")
    again = run(command(*typed), tmp_path / "second.log")
    assert "complete, nothing left to do" in again.said
    assert contents(tmp_path / "run") == before
