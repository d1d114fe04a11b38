"""The last lines of a run: what they tell to type works when it is pasted."""

import io
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import Summary
from lstm_lm.training.closing import show, show_interrupted

AWKWARD = "it's a run, (lr=0.1) $HOME"


@pytest.fixture
def ended() -> Summary:
    summary = Summary.begin("lstm-lm train", 1)
    summary.status, summary.model.name, summary.train.steps = "completed", "lstm", 3
    return summary


def shown(summary: Summary, folder: str) -> list[str]:
    console = Console(file=io.StringIO(), width=40)
    show(summary, Path("outputs") / folder, console, sample=None, source="best.ckpt", hints=())
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
    show_interrupted(ended, run, console)
    told = console.file.getvalue().splitlines()[-1]  # type: ignore[attr-defined]
    words = shlex.split(told.partition("the same command with ")[2])
    assert words == [f"hydra.run.dir={run.path}", "resume=auto"]
