"""Runs that are trained on lines or documents: what is trained, what is kept, and what a resumed run notices."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

import lstm_lm
from lstm_lm.data.known_units import KnownUnits
from lstm_lm.errors import UserError

Config = Callable[..., dict[str, Any]]
LINES = ("data.unit=line", "data.seq_len=64")
DOCUMENTS = ("data.unit=document", "data.separator=.", "data.seq_len=8")


@pytest.mark.parametrize("unit", [LINES, DOCUMENTS], ids=["line", "document"])
@pytest.mark.parametrize("model", ["lstm", pytest.param("transformer", marks=pytest.mark.matrix)])
def test_validation_is_of_each_unit_by_itself_its_end_included(
    unit: tuple[str, ...], model: str, small_config: Config, tmp_path: Path
) -> None:
    more = ["model.hidden_size=16"] if model == "transformer" else []
    config = small_config(f"model={model}", *unit, *more, "trainer.max_steps=5")
    summary = lstm_lm.train(config, tmp_path / "run")
    loaded = lstm_lm.load(tmp_path / "run")
    separator = "\n" if unit is LINES else "."
    # the same draw, told by what the checkpoint knows of the training text
    known = KnownUnits(loaded.training_units)
    units = Path(config["data"]["path"]).read_text().split(separator)
    held_out = [unit for unit in units if unit.strip() and unit not in known]
    nats, tokens = 0.0, 0
    for unit_text in held_out:
        ids = torch.from_numpy(loaded.tokenizer.encode(f"{separator}{unit_text}{separator}").ids)[:, None]
        with torch.no_grad():
            logits, _ = loaded.model(ids[:-1], loaded.model.initial_state(1))
            nats += float(cross_entropy(logits.flatten(0, 1), ids[1:].flatten(), reduction="sum"))
        tokens += len(ids) - 1
    assert summary.val is not None
    assert summary.val.tokens == tokens
    assert summary.val.loss == pytest.approx(nats / tokens, abs=1e-5)


def test_another_draw_is_another_text_to_a_resumed_and_to_a_finished_run(small_config: Config, tmp_path: Path) -> None:
    lstm_lm.train(small_config(*LINES, "trainer.max_steps=2"), tmp_path / "run")
    for more in ("trainer.max_steps=2", "trainer.max_steps=4"):
        with pytest.raises(UserError, match=r"data\.split_seed: 1 then, 2 now"):
            lstm_lm.train(small_config(*LINES, more, "data.split_seed=2", "resume=auto"), tmp_path / "run")
    documents = (*DOCUMENTS, "trainer.max_steps=2")
    lstm_lm.train(small_config(*documents), tmp_path / "documents")
    with pytest.raises(UserError, match=r"data\.separator: '\.' then, ' ' now"):
        lstm_lm.train(small_config(*documents, "data.separator= ", "resume=auto"), tmp_path / "documents")


def test_runs_with_several_seeds_validate_on_the_same_lines(small_config: Config, tmp_path: Path) -> None:
    for seed in (1, 2):
        lstm_lm.train(small_config(*LINES, f"seed={seed}", "trainer.max_steps=1"), tmp_path / str(seed))
    one, other = (lstm_lm.load(tmp_path / str(seed)) for seed in (1, 2))
    assert torch.equal(one.training_units, other.training_units)
    assert one.text == other.text


def test_samples_while_training_are_units_too(small_config: Config, tmp_path: Path) -> None:
    """What follows a line's end was never trained: each line of a sample is the first of its text."""
    from lstm_lm.training.observers import samples

    config = small_config(*LINES, "trainer.max_steps=1", "callbacks.samples.length=200")
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(samples, "units_in_a_row", lambda *given, **_: seen.append(given[2]) or "a line\n")
        lstm_lm.train(config, tmp_path / "run")
    assert set(seen) == {"\n"}


@pytest.mark.parametrize(
    ("overrides", "content", "said"),
    [
        (["data.unit=line"], "all alone", "1 different line"),
        (["data.unit=line"], "again\n" * 100, "1 different line"),
        (["data.unit=document", "data.separator=<|end|>"], "a\nb\n" * 100, "data.separator='<|end|>'"),
    ],
    ids=["a single line", "equal lines", "no separator"],
)
def test_a_text_that_has_no_units_to_speak_of_is_refused(
    overrides: list[str], content: str, said: str, small_config: Config, tmp_path: Path
) -> None:
    config = small_config(*overrides)
    Path(config["data"]["path"]).write_text(content)
    with pytest.raises(UserError) as caught:
        lstm_lm.train(config, tmp_path / "run")
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 4
    assert not (tmp_path / "run").exists()
