"""Lines as units of a batch: `data.unit=line`."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data.lines import EvalLines, Lines, TrainLines, batch_of, find_lines
from lstm_lm.data.module import TextDataModule
from lstm_lm.data.streams import IGNORE
from lstm_lm.data.token_stream import ON_HOST
from lstm_lm.errors import UserError
from lstm_lm.tokenizers.char import CharTokenizer

TOKENIZER = CharTokenizer("\n abc")
CHAR = {"name": "char"}


def ids(text: str) -> np.ndarray:
    return TOKENIZER.encode(text).ids


def units(text: str, longest: int = 100) -> list[str]:
    lines = find_lines(ids(text), TOKENIZER, longest)
    return [text[start : start + length] for start, length in zip(lines.starts, lines.lengths, strict=True)]


def train(text: str, batch_size: int, **how: Any) -> TrainLines:
    return TrainLines(ON_HOST.place(ids(text)), find_lines(ids(text), TOKENIZER, 100), batch_size, **how)


def test_a_line_ends_with_its_newline_and_blank_ones_are_left_out() -> None:
    assert units("ab\n\n  \nc\n") == ["ab\n", "c\n"]
    assert units("ab\nc") == ["ab\n", "c"], "the last one may have none"
    assert units("\n \n") == units("") == []


def test_a_line_that_is_too_long_is_cut_into_pieces_of_its_share() -> None:
    assert units("abcabca\nab\n", longest=3) == ["ab", "cab", "ca\n", "ab\n"]


@given(st.text(alphabet="\n ab", max_size=60), st.integers(1, 9))
def test_every_token_of_a_line_with_something_in_it_is_in_one_unit(text: str, longest: int) -> None:
    found = units(text, longest)
    assert "".join(found) == "".join(line for line in text.splitlines(keepends=True) if line.strip())
    assert all(1 <= len(unit) <= longest for unit in found)


def test_a_batch_is_padded_and_its_padding_is_not_to_be_predicted() -> None:
    text = "ab\nc\nabca\n"
    batch = batch_of(ON_HOST.place(ids(text)), find_lines(ids(text), TOKENIZER, 100), np.array([1, 2, 0]))
    n, a, b, c = ids("\nabc").tolist()
    assert batch.targets.T.tolist() == [[c, n, IGNORE, IGNORE, IGNORE], [a, b, c, a, n], [a, b, n, IGNORE, IGNORE]]
    assert batch.inputs[:2].T.tolist() == [[n, c], [n, a], [n, a]], "each token's predecessor in the text"
    assert batch.fresh
    assert batch.predicted == int((batch.targets != IGNORE).sum()) == 10


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_an_epoch_has_each_line_once_but_for_fewer_than_a_batch(count: int, size: int, ranks: int, seed: int) -> None:
    lines = Lines(np.arange(count), np.ones(count, np.int64))
    tokens = ON_HOST.place(np.arange(count))
    if count < size * ranks:
        with pytest.raises(ValueError, match="cannot fill"):
            TrainLines(tokens, lines, size, seed=seed, world_size=ranks)
        return
    sources = [TrainLines(tokens, lines, size, seed=seed, rank=rank, world_size=ranks) for rank in range(ranks)]
    orders = []
    for _ in range(2):
        seen = [token for source in sources for batch in source for token in batch.targets[0].tolist()]
        assert len(seen) == len(set(seen)) == count - count % (size * ranks)
        orders.append(seen)
    assert count < 10 or orders[0] != orders[1], "each epoch in another order"


def test_the_place_in_the_sequence_is_all_there_is_to_know() -> None:
    text = "".join("abc"[: 1 + i % 3] + "\n" for i in range(20))
    source = train(text, 3, seed=5)
    alone = [batch for _ in range(3) for batch in source]
    for stopped in range(len(alone)):
        first = train(text, 3, seed=5)
        for _ in islice((batch for _ in range(3) for batch in first), stopped):
            pass
        second = train(text, 3, seed=5)
        second.load_state_dict(first.state_dict())
        assert torch.equal(next(iter(second)).targets, alone[stopped].targets)
    with pytest.raises(UserError, match="position in the training text"):
        second.load_state_dict({"epoch": -1})


def test_evaluation_has_every_line_once_in_order() -> None:
    text = "ab\nc\nabca\n"
    batches = list(EvalLines(ON_HOST.place(ids(text)), find_lines(ids(text), TOKENIZER, 100), 2))
    assert [batch.targets.shape[1] for batch in batches] == [2, 1]
    kept = [column[column != IGNORE].tolist() for batch in batches for column in batch.targets.T]
    assert [TOKENIZER.decode(line) for line in kept] == ["ab\n", "c\n", "abca\n"]


def test_the_data_module_hands_lines_out(section: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("a line\n\nanother one\n" * 30)
    options = section("text", path=str(tmp_path / "text.txt"), unit="line", batch_size=4, eval_batch_size=3)
    module = TextDataModule(options, CHAR, 1)
    module.prepare()
    batches = list(module.train_dataloader())
    assert len(batches) == module.windows_per_epoch == 54 // 4
    assert batches[0].predicted is not None
    first = batches[0].targets[:, 0]
    assert module.tokenizer.decode(first[first != IGNORE].tolist()) in ("a line\n", "another one\n")
    scored = sum(int((batch.targets != IGNORE).sum()) for batch in module.val_dataloader())
    assert scored == 3 * len("a line\nanother one\n")
    assert module.predicted("validation") == scored
    whole = TextDataModule(options | {"unit": "window", "batch_size": 1}, CHAR, 1)
    whole.prepare()
    assert whole.predicted("validation") == whole.manifest.splits["validation"].tokens - 1
    few = TextDataModule(options | {"batch_size": 60}, CHAR, 1)
    with pytest.raises(UserError, match="54 of the 60 lines that a batch needs") as caught:
        few.prepare()
    assert "data.batch_size=54 at most" in str(caught.value)
