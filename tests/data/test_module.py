from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lstm_lm.data.module import TextDataModule
from lstm_lm.data.streams import IGNORE
from lstm_lm.errors import UserError

CHAR = {"name": "char"}


@pytest.fixture
def text(tmp_path: Path, section: Callable) -> Callable[..., TextDataModule]:
    """A module over a text of `length` characters."""

    def make(length: int, *, seed: int = 1, **changes: Any) -> TextDataModule:
        path = tmp_path / f"{length}.txt"
        path.write_text("".join(chr(97 + i % 7) for i in range(length)))
        module = TextDataModule(section("text", path=str(path), **changes), CHAR, seed)
        module.prepare()
        return module

    return make


def refusal(make: Callable[[], Any]) -> str:
    with pytest.raises(UserError) as caught:
        make()
    assert len(str(caught.value).splitlines()) <= 4
    return str(caught.value)


def test_the_default_text_is_ready_to_train_on(section):
    module = TextDataModule(section("python_docs"), CHAR, seed=0)
    module.prepare_data()
    module.setup("fit")
    batch = next(iter(module.train_dataloader()))
    assert batch.inputs.shape == batch.targets.shape == (32, 32)
    assert module.windows_per_epoch == len(module.train_dataloader())
    assert module.tokenizer.vocabulary_size == module.manifest.vocabulary_size
    train = module.tokens("train")
    assert len(train) == module.manifest.splits["train"].tokens == module.manifest.splits["train"].characters
    assert train.dtype == np.uint8
    scored = sum(int((batch.targets != IGNORE).sum()) for batch in module.val_dataloader())
    assert scored == module.manifest.splits["validation"].tokens - 1
    assert module.test_dataloader() == []


def test_a_test_split_has_windows_of_its_own(text):
    module = text(5000, test_fraction=0.1, batch_size=2)
    scored = sum(int((batch.targets != IGNORE).sum()) for batch in module.test_dataloader())
    assert scored == len(module.tokens("test")) - 1 == 499


def test_the_seed_and_nothing_else_fixes_the_order(text):
    first, second, third = (next(iter(text(5000, seed=seed).train_dataloader())).inputs for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_carried_state_can_be_turned_off(text):
    assert all(batch.fresh for batch in text(5000, carry_state=False).train_dataloader())


def test_each_process_has_streams_of_its_own(text):
    module = text(5000, batch_size=4, seq_len=16)
    alone = module.windows_per_epoch
    module.trainer = SimpleNamespace(global_rank=1, world_size=2)
    other = module.train_dataloader()
    assert len(other) == module.windows_per_epoch == -(-(4500 // 8) // 16) < alone
    together = text(5000, batch_size=8, seq_len=16).train_dataloader()
    assert torch.equal(next(iter(other)).inputs, next(iter(together)).inputs[:, 4:])


def test_a_given_tokenizer_is_used_as_it_is(text, section, tmp_path):
    known = text(5000)
    (tmp_path / "other.txt").write_text("abcabc" * 500)
    other = TextDataModule(section("text", path=str(tmp_path / "other.txt"), batch_size=2), {}, 1, known.tokenizer)
    other.prepare()
    assert other.tokenizer.fingerprint() == known.tokenizer.fingerprint()
    assert other.manifest.vocabulary_size == 7
    (tmp_path / "other.txt").write_text("abcxyz" * 500)
    unknown = TextDataModule(section("text", path=str(tmp_path / "other.txt"), batch_size=2), {}, 1, known.tokenizer)
    assert "'x' (U+0078)" in refusal(unknown.prepare)


def test_a_text_too_short_for_one_window_of_each_stream_is_refused_with_the_numbers(text):
    message = refusal(lambda: text(1000, batch_size=32, seq_len=64))
    assert "900 tokens" in message
    assert "32 streams of one window of 64 tokens need 2,048" in message
    assert "data.batch_size=14, or data.seq_len=28 at most" in message
    for remedy in ({"batch_size": 14, "seq_len": 64}, {"batch_size": 32, "seq_len": 28}):
        assert len(text(1000, **remedy).train_dataloader()) >= 1
    for too_much in ({"batch_size": 15, "seq_len": 64}, {"batch_size": 32, "seq_len": 29}):
        refusal(lambda too_much=too_much: text(1000, **too_much))
    assert "give more text" in refusal(lambda: text(1000, batch_size=10**30))


def test_a_text_found_too_short_stays_refused(text, section, tmp_path):
    refusal(lambda: text(100))
    module = TextDataModule(section("text", path=str(tmp_path / "100.txt")), CHAR, 1)
    for _ in range(2):
        assert "too short" in refusal(module.prepare)


def test_a_text_too_short_for_all_processes_is_refused(text):
    module = text(1000, batch_size=10, seq_len=64)
    module.trainer = SimpleNamespace(global_rank=0, world_size=2)
    message = refusal(module.train_dataloader)
    assert "20 streams" in message
    assert "data.batch_size=7, or data.seq_len=45 at most" in message


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_split_with_nothing_to_predict_is_refused(text, split):
    message = refusal(lambda: text(100, batch_size=1, seq_len=8, **{f"{split}_fraction": 0.01}))
    assert f"the {split} text is too short" in message
    assert f"data.{split}_fraction" in message


def test_options_are_checked_before_any_text_is_read(section):
    missing = section("text", path="/does/not/exist")
    assert "data.seq_len=0" in refusal(lambda: TextDataModule({**missing, "seq_len": 0}, CHAR, 1))
    assert "no such option\nchoose one of: python_docs, python_names, text" in refusal(
        lambda: TextDataModule({**missing, "name": "none"}, CHAR, 1)
    )
    assert "tokenizer.name='none'" in refusal(lambda: TextDataModule(missing, {"name": "none"}, 1))
    assert "tokenizer.size" in refusal(lambda: TextDataModule(missing, {"name": "char", "size": 3}, 1))
    assert "data.name=None" in refusal(lambda: TextDataModule({}, CHAR, 1))
    assert "no such file" in refusal(TextDataModule(missing, CHAR, 1).prepare)


def test_it_says_what_to_call_first(section):
    with pytest.raises(RuntimeError, match="prepare"):
        _ = TextDataModule(section("python_docs"), CHAR, 1).manifest


def test_the_place_in_the_text_is_restored_before_and_after_the_loader_is_made(text):
    module = text(5000)
    assert module.state_dict() == {}
    windows = module.train_dataloader()
    iterator = iter(windows)
    next(iterator)
    state = module.state_dict()
    assert state == {"train": {"epoch": 0, "window": 1}}
    expected = next(iterator)
    before, after = text(5000), text(5000)
    before.load_state_dict(state)
    loader = after.train_dataloader()
    after.load_state_dict(state)
    for resumed in (before.train_dataloader(), loader):
        assert torch.equal(next(iter(resumed)).inputs, expected.inputs)


def test_a_place_that_is_none_is_refused(text):
    module = text(5000)
    module.train_dataloader()
    assert "position in the training text" in refusal(lambda: module.load_state_dict({"train": {"epoch": "x"}}))
