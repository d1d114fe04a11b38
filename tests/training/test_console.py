"""What a person reads before the first step, and at the end: what is there to type works when it is pasted."""

import io
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import lstm_lm
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import SplitSummary, Summary
from lstm_lm.training.console import show_interrupted, show_results

Config = Callable[..., dict[str, Any]]

AWKWARD = "it's a run, (lr=0.1) $HOME"


@pytest.fixture
def ended() -> Summary:
    summary = Summary.begin("lstm-lm train", 1)
    summary.status, summary.model.name, summary.train.steps = "completed", "lstm", 3
    return summary


def shown(summary: Summary, folder: str) -> list[str]:
    console = Console(file=io.StringIO(), width=40)
    show_results(console, summary, RunDirectory(Path("outputs") / folder), None, "best.ckpt", ())
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_what_to_type_next_is_quoted_for_a_shell(ended: Summary) -> None:
    generate, tensorboard = shown(ended, AWKWARD)[-2:]
    assert shlex.split(generate)[:4] == ["next", "lstm-lm", "generate", f"run=outputs/{AWKWARD}"]
    assert shlex.split(tensorboard) == ["tensorboard", "--logdir", "outputs"]


def test_a_plain_path_stays_as_it_is(ended: Summary) -> None:
    assert shown(ended, "one")[-2] == 'next lstm-lm generate run=outputs/one prompt="..."'


def test_how_to_go_on_is_quoted_for_a_shell(ended: Summary, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / AWKWARD)
    run.checkpoints.mkdir(parents=True)
    run.last.touch()
    console = Console(file=io.StringIO(), width=40)
    show_interrupted(console, ended, run)
    told = console.file.getvalue().splitlines()[-1]  # type: ignore[attr-defined]
    words = shlex.split(told.partition("the same command with ")[2])
    assert words == [f"hydra.run.dir={run.path}", "resume=auto"]


def test_in_the_run_directory_itself_the_whole_path_is_told(
    ended: Summary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra's job.chdir takes the process there; the user, who types the next command, is elsewhere."""
    monkeypatch.chdir(tmp_path)
    console = Console(file=io.StringIO(), width=40)
    show_results(console, ended, RunDirectory(tmp_path), None, "best.ckpt", ())
    assert f"run={tmp_path}" in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [10, 20, 40, 66, 80, 200])
def test_no_number_is_lost_on_a_narrow_terminal(width: int, ended: Summary) -> None:
    ended.val = SplitSummary(loss=1.2345, perplexity=123456.7891, bits_per_character=2.3456, bits_per_byte=3.4567)
    ended.test = SplitSummary(loss=9.8765, perplexity=876.5432, bits_per_character=7.6543, bits_per_byte=6.5432)
    console = Console(file=io.StringIO(), width=width)
    show_results(console, ended, RunDirectory(Path("run")), None, "best.ckpt", ())
    words = console.file.getvalue().split()  # type: ignore[attr-defined]
    numbers = ["1.2345", "123,456.7891", "2.3456", "3.4567", "9.8765", "876.5432", "7.6543", "6.5432"]
    assert [word for word in words if word in numbers] == numbers


def told(config: dict[str, Any], folder: Path, width: int = 500) -> str:
    console = Console(file=io.StringIO(), width=width)
    lstm_lm.train(config, folder, console=console)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize(
    ("limits", "steps", "windows"),
    [
        (["trainer.limit_train_batches=5"], 5, 5),
        (["trainer.limit_train_batches=5", "trainer.accumulate_grad_batches=2"], 3, 5),
        (["trainer.overfit_batches=3"], 3, 3),
    ],
)
def test_an_epochs_tokens_are_those_of_its_windows(
    limits: list[str], steps: int, windows: int, small_config: Config, tmp_path: Path
) -> None:
    tokens = windows * 4 * 16  # batch_size, seq_len
    assert f"an epoch: {steps}, {tokens} tokens" in told(small_config("trainer.max_steps=1", *limits), tmp_path / "run")


def test_on_a_narrow_terminal_nothing_is_cut_off(small_config: Config, tmp_path: Path) -> None:
    said = told(small_config("trainer.max_steps=1"), tmp_path / "run", width=20)
    assert "…" not in said.partition("step ")[0]
    assert "precision" in said


def test_the_plan_of_a_usual_run_is_eight_lines_that_do_not_wrap(small_config: Config, tmp_path: Path) -> None:
    said = told(small_config("trainer.max_steps=1", "runtime.threads=1"), tmp_path / "run", width=80)
    starts = [line.split(" ")[0] for line in said.partition("step ")[0].splitlines()]
    names = ["text", "model", "optimizer", "length", "device", "precision", "forward", "run"]
    assert [start for start in starts if start] == names
