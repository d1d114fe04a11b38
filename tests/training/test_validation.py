"""What validation says: figures of the tokens that were scored, and a best among validations of the same tokens."""

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import lstm_lm
from lstm_lm.evaluation.scores import Scores
from lstm_lm.evaluation.token_sizes import Counts
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.training.state import Validation

Config = Callable[..., dict[str, Any]]

HALF = Validation(step=3, scores=Scores.of(2.0, Counts(100, 100, 100)), text=1)


def with_loss(loss: float, **changes: Any) -> Validation:
    counts = changes.pop("counts", HALF.scores.counts)
    return replace(HALF, scores=Scores.of(loss, counts), **changes)


def test_only_validations_of_the_same_tokens_are_compared() -> None:
    assert with_loss(1.9).is_better_than(HALF)
    assert not with_loss(2.0).is_better_than(HALF)
    assert with_loss(2.5, counts=Counts(200, 200, 200)).is_better_than(HALF), "another part: no best to compare with"
    assert with_loss(2.5, text=2).is_better_than(HALF), "another text of the same size"
    assert with_loss(9.0).is_better_than(None)
    assert not with_loss(math.nan).is_better_than(None)


def test_a_checkpoint_holds_all_of_it() -> None:
    scores = Scores.of(1.5, Counts(3, 2, 4), "it cannot be said", {"exact_match": 0.5})
    for one in (HALF, Validation(7, scores, 9)):
        assert Validation.from_plain(one.to_plain()) == one
    assert Validation.from_plain(None) is None


@pytest.mark.parametrize("limit", ["2", "0.1", "1.0"])
def test_bits_are_of_the_tokens_that_were_scored(
    limit: str, small_config: Config, small_file: Path, tmp_path: Path
) -> None:
    """A piece of a word stands for several characters, and the first windows' pieces for others than the rest's."""
    config = small_config(
        "tokenizer=bpe",
        "tokenizer.vocabulary_size=300",
        "data.validation_fraction=0.5",
        "trainer.max_steps=2",
        f"trainer.limit_val_batches={limit}",
    )
    summary = lstm_lm.train(config, tmp_path / "run")
    tokenizer = lstm_lm.load(tmp_path / "run").tokenizer
    text = small_file.read_text()
    validated = tokenizer.encode(text[len(text) // 2 :]).ids.tolist()
    assert summary.val is not None
    assert summary.val.loss is not None
    scored = scored_of(validated, config["data"], limit)
    assert summary.val.tokens == len(scored)
    spelled = b"".join(tokenizer.token_bytes(token) for token in scored)
    assert summary.val.bits_per_byte == pytest.approx(summary.val.loss / math.log(2) * len(scored) / len(spelled))
    assert summary.val.bits_per_character == summary.val.bits_per_byte, "all of the small text is ASCII"


def scored_of(ids: list[int], data: dict[str, Any], limit: str) -> list[int]:
    """The targets of the first windows of B streams, those left out that only give a stream its context."""
    most, length, context = data["eval_batch_size"], data["seq_len"], data["eval_context"]
    beyond = len(ids) - 1 - context
    stream = math.ceil(beyond / most)
    windows = math.ceil((stream + context) / length)
    taken = int(limit) if limit.isdigit() else int(windows * float(limit))
    read = min(taken * length, stream + context)
    first = ids[1 : 1 + read]
    others = [
        ids[begin + position + 1]
        for begin in range(stream, most * stream, stream)
        for position in range(context, read)
        if begin + position + 1 < len(ids)
    ]
    return [*first, *others]


def test_training_and_evaluate_agree_on_a_part(small_config: Config, tmp_path: Path) -> None:
    config = small_config("tokenizer=bpe", "tokenizer.vocabulary_size=300", "trainer.limit_val_batches=2")
    summary = lstm_lm.train(config, tmp_path / "run")
    found = lstm_lm.evaluate(tmp_path / "run", limit_windows=2, splits=["validation"])
    ours, theirs = summary.val, found["splits"]["validation"]
    assert ours is not None
    assert ours.tokens == theirs["tokens"]
    for name in ("loss", "bits_per_byte", "bits_per_character"):
        assert getattr(ours, name) == pytest.approx(theirs[name], rel=1e-5), name


def test_what_was_left_out_is_said(small_config: Config, tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=200)
    lstm_lm.train(small_config("trainer.max_steps=1", "trainer.limit_val_batches=1"), tmp_path / "run", console=console)
    assert "validation: scored 24 of 300 tokens" in console.file.getvalue()  # type: ignore[attr-defined]
    rows = metrics_file.read(tmp_path / "run" / "metrics.csv")
    assert [row["val/tokens"] for row in rows if "val/tokens" in row] == [24]


def test_the_best_of_a_part_is_forgotten_when_all_is_scored(small_config: Config, tmp_path: Path) -> None:
    run, often = tmp_path / "run", ("trainer.val_check_interval=5", "scheduler=constant", "resume=auto")
    part = lstm_lm.train(small_config(*often, "trainer.max_steps=10", "trainer.limit_val_batches=1"), run)
    console = Console(file=io.StringIO(), width=200)
    whole = lstm_lm.train(small_config(*often, "trainer.max_steps=20"), run, console=console)
    assert part.val is not None
    assert whole.val is not None
    assert (part.val.tokens, whole.val.tokens) == (24, 300)
    best = checkpoint_file.load(run / "checkpoints" / "best.ckpt")
    assert best["global_step"] > 10
    losses = [row["val/loss"] for row in metrics_file.read(run / "metrics.csv") if row.get("val/tokens") == 300]
    assert whole.val.loss == min(losses)
    assert "other tokens than before" in console.file.getvalue()  # type: ignore[attr-defined]


def test_early_stopping_and_averaging_begin_anew_with_another_part(small_config: Config, tmp_path: Path) -> None:
    """A part that is easier than the rest would end the run, and begin the average, at the first whole validation."""
    patient = ("callbacks.early_stopping.patience=1", "averaging=asgd", "averaging.non_monotone=0")
    run = tmp_path / "run"
    often = (*patient, "trainer.val_check_interval=5", "scheduler=constant", "resume=auto")
    lstm_lm.train(small_config(*often, "trainer.max_steps=10", "trainer.limit_val_batches=1"), run)
    for name in ("last", "best"):
        path = run / "checkpoints" / f"{name}.ckpt"
        saved = checkpoint_file.load(path)
        if saved["lstm_lm"]["validation"] is not None:
            saved["lstm_lm"]["validation"]["loss"] = 0.1
        for state in saved["callbacks"].values():
            state["best"] = 0.1
        saved["lstm_lm"]["averaging"]["losses"] = [0.1, 0.1]
        checkpoint_file.save(saved, path)
    summary = lstm_lm.train(small_config(*often, "trainer.max_steps=20"), run)
    assert summary.status == "completed"
    assert summary.train.steps == 20
    assert checkpoint_file.load(run / "checkpoints" / "last.ckpt")["lstm_lm"]["averaging"]["count"] == 0
