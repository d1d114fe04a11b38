"""What a person reads at a run's end: what is there to type works when it is pasted."""

import io
import math
import shlex
from pathlib import Path

import pytest
from rich.console import Console

from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import JudgementSummary, SplitSummary, Summary
from lstm_lm.training.closing import show_interrupted, show_results

AWKWARD = "it's a run, (lr=0.1) $HOME"


@pytest.fixture
def ended() -> Summary:
    summary = Summary.begin("lstm-lm train", 1)
    summary.status, summary.model.name, summary.train.steps = "completed", "lstm", 3
    return summary


@pytest.fixture(autouse=True)
def _below_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shown(summary: Summary, folder: str, *, kept: bool = True, width: int = 80) -> list[str]:
    """What is told of a run; `kept`: whether it has a checkpoint."""
    last = RunDirectory(Path("outputs") / folder).last
    last.parent.mkdir(parents=True, exist_ok=True)
    if kept:
        last.touch()
    console = Console(file=io.StringIO(), width=width)
    show_results(console, summary, RunDirectory(Path("outputs") / folder), None, "best.ckpt", ())
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined,no-any-return]


def test_what_to_type_next_is_quoted_for_a_shell(ended: Summary) -> None:
    generate, tensorboard = shown(ended, AWKWARD, width=100)[-2:]
    assert shlex.split(generate)[:4] == ["next", "lstm-lm", "generate", f"run=outputs/{AWKWARD}"]
    assert shlex.split(tensorboard) == ["tensorboard", "--logdir", "outputs"]


def test_of_a_run_without_checkpoints_nothing_can_be_written(ended: Summary) -> None:
    """As `trainer.fast_dev_run` and `trainer.enable_checkpointing=false` leave it."""
    told = shown(ended, "one", kept=False)
    assert not [line for line in told if "generate" in line]
    assert told[-1] == "next    tensorboard --logdir outputs"


def test_a_plain_path_stays_as_it_is(ended: Summary) -> None:
    assert shown(ended, "one")[-2] == 'next    lstm-lm generate run=outputs/one prompt="..."'


def test_what_is_wider_than_the_terminal_is_alone_on_its_line(ended: Summary) -> None:
    assert shown(ended, "one", width=40)[-3:-1] == ["next", 'lstm-lm generate run=outputs/one prompt="..."']


def test_how_to_go_on_is_quoted_for_a_shell(ended: Summary, tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / AWKWARD)
    run.checkpoints.mkdir(parents=True)
    run.last.touch()
    console = Console(file=io.StringIO(), width=40)
    show_interrupted(console, ended, run)
    told = console.file.getvalue().splitlines()[-1]  # type: ignore[attr-defined]
    assert shlex.split(told) == [f"hydra.run.dir={AWKWARD}", "resume=auto"]


def test_in_the_run_directory_itself_the_whole_path_is_told(ended: Summary, tmp_path: Path) -> None:
    """Hydra's job.chdir takes the process there; the user, who types the next command, is elsewhere."""
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    run.last.touch()
    console = Console(file=io.StringIO(), width=40)
    show_results(console, ended, run, None, "best.ckpt", ())
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


def test_the_loss_is_told_as_a_number_of_choices(ended: Summary) -> None:
    ended.val = SplitSummary(loss=math.log(5.8))
    ended.judgement = JudgementSummary(kind="level", frequencies_loss=math.log(27.4))
    line = next(line for line in shown(ended, "run") if line.startswith("loss"))
    assert "5.8" in line
    assert "27.4" in line
    ended.judgement.frequencies_loss = math.log(5.0)
    assert "no better" in next(line for line in shown(ended, "run") if line.startswith("loss"))


@pytest.mark.parametrize("kind", ["short", "overfitted", "unstable", "falling", "ahead", "level", "unclear"])
def test_what_a_curve_says_is_three_lines_of_eighty_columns_at_most(kind: str, ended: Summary) -> None:
    ended.train.steps = 1_234_567
    ended.val = SplitSummary(loss=6.54321)
    before = len(shown(ended, "run"))
    ended.judgement = JudgementSummary(
        kind=kind,
        validations=100,
        best_step=1_000_000,
        loss=6.6,
        rise=12.345,
        gap=12.345,
        fall=12.345,
        fall_per="doubling",
        noise=0.1,
        frequencies_loss=9.1,
        advice="trainer.max_steps=2500000 trainer.max_epochs=-1",
    )
    lines = shown(ended, "run")
    assert len(lines) - before == 3
    assert max(map(len, lines)) <= 80
    assert lines[-1].strip() == "tensorboard --logdir outputs"


@pytest.mark.parametrize(
    ("advice", "told"),
    [
        ("trainer.max_epochs=8", "new run"),
        ("trainer.max_epochs=8 resume=auto", "continues"),
        ("model.dropout=0.2", "model.dropout=0.2"),
    ],
)
def test_of_a_longer_training_it_is_told_whether_it_is_a_new_run(advice: str, told: str, ended: Summary) -> None:
    ended.judgement = JudgementSummary(kind="falling", fall=0.1, fall_per="doubling", advice=advice)
    line = next(line for line in shown(ended, "run") if line.startswith("try"))
    assert advice in line
    assert told in line


def test_a_level_curve_far_above_training_says_so(ended: Summary) -> None:
    ended.judgement = JudgementSummary(kind="level", loss=1.73, gap=0.88, fall=0.016, fall_per="doubling")
    [curve] = [line for line in shown(ended, "a") if line.startswith("curve")]
    assert "0.88 ahead" in curve
    assert "lower" not in curve


def test_an_autoencoders_loss_is_no_number_of_choices(ended: Summary) -> None:
    ended.model.name = "autoencoder"
    ended.val = SplitSummary(loss=0.5)
    ended.judgement = JudgementSummary(kind="level", frequencies_loss=3.0)
    assert not [line for line in shown(ended, "run") if line.startswith("loss")]
