"""`data.unknown=extend`: a run goes on with another's weights on a text with new characters."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tiers import smallest

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.models.weights import model_weights
from lstm_lm.runs import checkpoint_file

Config = Callable[..., dict[str, Any]]

NEW = "äöéß"
TIED = ("model.hidden_size=8", "model.tie_weights=true")
STILL = ("optimizer.lr=1e-12", "trainer.max_steps=1")


@pytest.fixture
def origin(small_config: Config, tmp_path: Path) -> Path:
    lstm_lm.train(small_config("trainer.max_steps=30"), tmp_path / "origin")
    return tmp_path / "origin"


@pytest.fixture
def tuned(small_config: Config, tmp_path: Path, small_text: str) -> Callable[..., dict[str, Any]]:
    """A configuration that starts from a run, on a text where some of the letters are others."""
    path = tmp_path / "accents.txt"
    path.write_text(small_text.translate(str.maketrans("aous", NEW)), encoding="utf-8")

    def make(start: Path | None, *overrides: str, path: Path = path) -> dict[str, Any]:
        config = small_config("data.unknown=extend", *overrides)
        return config | {
            "init_from": None if start is None else str(start),
            "data": config["data"] | {"path": str(path)},
        }

    return make


def last(run: Path) -> dict[str, Any]:
    return checkpoint_file.load(run / "checkpoints" / "last.ckpt")


def best(run: Path) -> dict[str, Any]:
    return checkpoint_file.load(run / "checkpoints" / "best.ckpt")


def alphabet(run: Path) -> str:
    return str(last(run)["lstm_lm"]["tokenizer"]["alphabet"])


@pytest.mark.parametrize("model", smallest([(), TIED, (*TIED, "averaging=ema")], TIED))
def test_the_vocabulary_grows_by_rows_of_means(
    model: tuple[str, ...], small_config: Config, tuned: Config, tmp_path: Path
) -> None:
    lstm_lm.train(small_config(*model, "trainer.max_steps=30"), tmp_path / "origin")
    console = Console(file=io.StringIO(), width=200)
    summary = lstm_lm.train(tuned(tmp_path / "origin", *model, *STILL), tmp_path / "tuned", console=console)

    old, new = alphabet(tmp_path / "origin"), alphabet(tmp_path / "tuned")
    assert new == old + "".join(sorted(NEW))
    assert summary.data.vocabulary_size == len(new)
    assert summary.data.added_tokens == last(tmp_path / "tuned")["lstm_lm"]["added_tokens"] == sorted(NEW)
    [said] = [line for line in console.file.getvalue().splitlines() if line.startswith("added")]  # type: ignore[attr-defined]
    assert all(repr(character) in said for character in NEW)

    before = model_weights(best(tmp_path / "origin"))
    after = {name.removeprefix("model."): tensor for name, tensor in last(tmp_path / "tuned")["state_dict"].items()}
    for name in ("embedding.weight", "head.weight", "head.bias"):
        expected = torch.cat([before[name], *[before[name].mean(0, keepdim=True)] * len(NEW)])
        torch.testing.assert_close(after[name], expected, rtol=0, atol=1e-9)  # but for one step of almost nothing
    assert torch.equal(after["embedding.weight"], after["head.weight"]) == bool(model)


def test_it_learns_to_write_them_and_is_scored_and_started_from_like_any_other(
    origin: Path, small_config: Config, tuned: Config, tmp_path: Path
) -> None:
    summary = lstm_lm.train(tuned(origin, "trainer.max_epochs=3", "optimizer.lr=0.01"), tmp_path / "tuned")
    written = lstm_lm.generate(tmp_path / "tuned", prompt="thé cät", max_new_tokens=300, seed=1)
    assert set(written[len("thé cät") :]) & set(NEW)
    scores = lstm_lm.evaluate(tmp_path / "tuned", splits=["validation"])["splits"]["validation"]
    assert summary.val is not None
    assert scores["loss"] == pytest.approx(summary.val.loss, rel=1e-4)

    third = tmp_path / "third.txt"
    third.write_text("cät, thé żubr. " * 200, encoding="utf-8")
    lstm_lm.train(tuned(tmp_path / "tuned", *STILL, path=third), tmp_path / "third")
    assert alphabet(tmp_path / "third") == alphabet(tmp_path / "tuned") + ",bż"
    assert last(tmp_path / "third")["lstm_lm"]["added_tokens"] == [",", "b", "ż"]
    plain = small_config(*STILL) | {"init_from": str(tmp_path / "third")}
    lstm_lm.train(plain, tmp_path / "plain")
    assert alphabet(tmp_path / "plain") == alphabet(tmp_path / "third")
    assert last(tmp_path / "plain")["lstm_lm"]["added_tokens"] is None


def test_a_stopped_run_continues_bit_for_bit_in_the_vocabulary_that_it_has(
    origin: Path, tuned: Config, tmp_path: Path
) -> None:
    steps = ("trainer.max_epochs=2", "scheduler=constant", "model.dropout=0.2")
    lstm_lm.train(tuned(origin, *steps, "trainer.max_steps=12"), tmp_path / "whole")
    lstm_lm.train(tuned(origin, *steps, "trainer.max_steps=5"), tmp_path / "parts")
    summary = lstm_lm.train(tuned(None, *steps, "trainer.max_steps=12", "resume=auto"), tmp_path / "parts")
    assert (summary.train.steps, summary.data.added_tokens) == (12, sorted(NEW))
    whole, parts = last(tmp_path / "whole"), last(tmp_path / "parts")
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(parts["state_dict"][name], tensor), name
    for key in ("tokenizer", "added_tokens"):
        assert parts["lstm_lm"][key] == whole["lstm_lm"][key]

    other = tmp_path / "other.txt"
    other.write_text("żubr " * 600, encoding="utf-8")
    with pytest.raises(UserError, match=r"does not know .*'ż'"):
        lstm_lm.train(tuned(None, *steps, "trainer.max_steps=20", "resume=force", path=other), tmp_path / "parts")


def test_a_text_with_nothing_new_adds_nothing(origin: Path, small_file: Path, tuned: Config, tmp_path: Path) -> None:
    summary = lstm_lm.train(tuned(origin, *STILL, path=small_file), tmp_path / "tuned")
    assert alphabet(tmp_path / "tuned") == alphabet(origin)
    assert summary.data.added_tokens == []


def test_frequent_new_words_are_learnt(small_config: Config, tuned: Config, small_text: str, tmp_path: Path) -> None:
    """By the options that the tokenizer was made with, whatever is typed now."""
    words = ("tokenizer=word", "tokenizer.min_frequency=3", "data.seq_len=8")
    lstm_lm.train(small_config(*words, "trainer.max_steps=2"), tmp_path / "origin")
    other = tmp_path / "birds.txt"
    other.write_text("a heron once.\n" + small_text.replace("dogs", "birds"))
    summary = lstm_lm.train(tuned(tmp_path / "origin", "data.seq_len=8", *STILL, path=other), tmp_path / "tuned")
    assert summary.data.added_tokens == [" birds", "birds"]


def test_a_refusal_of_new_characters_names_it_where_it_is_possible(
    small_config: Config, tuned: Config, tmp_path: Path
) -> None:
    lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "origin")
    with pytest.raises(UserError, match=r"data\.unknown=extend") as caught:
        lstm_lm.train(tuned(tmp_path / "origin", "data.unknown=error"), tmp_path / "tuned")
    assert len(str(caught.value).splitlines()) <= 4


def test_without_a_vocabulary_that_can_grow_it_is_refused_by_name(
    small_config: Config, tuned: Config, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"data\.unknown=extend: .*init_from="):
        lstm_lm.train(tuned(None), tmp_path / "tuned")
    with pytest.raises(UserError, match=r"init_from=RUN, and resume=never"):
        lstm_lm.train(tuned(None, "resume=auto"), tmp_path / "tuned")
    for name in ("bpe", "byte"):
        size = ["tokenizer.vocabulary_size=260"] if name == "bpe" else []
        lstm_lm.train(small_config(f"tokenizer={name}", *size, "trainer.max_steps=1"), tmp_path / name)
        with pytest.raises(UserError, match=f"the {name} tokenizer of .*{name} cannot grow.*every text") as caught:
            lstm_lm.train(tuned(tmp_path / name, path=tmp_path / "not read"), tmp_path / "tuned")
        assert "leave data.unknown out" in str(caught.value)
    assert not (tmp_path / "tuned" / "checkpoints").exists()
