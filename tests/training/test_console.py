"""What a person reads before the first step."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import lstm_lm

Config = Callable[..., dict[str, Any]]

SIZES = ("model.embedding_size=64", "model.hidden_size=128")
"""Of a model whose parameters take six digits, or nearly."""


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
    assert "…" not in said.partition("\nstep ")[0]
    assert "precision" in said


@pytest.mark.parametrize("model", ["lstm", "gru", "transformer"])
def test_the_plan_of_a_usual_run_is_eight_lines_that_do_not_wrap(
    model: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = small_config("trainer.max_steps=1", "runtime.threads=1", f"model={model}", *SIZES)
    said = told(config, Path("run"), width=80)
    starts = [line.split(" ")[0] for line in said.partition("\nstep ")[0].splitlines()]
    names = ["text", "model", "optimizer", "length", "device", "precision", "forward", "run"]
    assert [start for start in starts if start] == names
