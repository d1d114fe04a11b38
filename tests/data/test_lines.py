"""Lines and documents as units of a batch: `data.unit=line`, `data.unit=document`."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data.lines import EvalLines, Lines, TrainLines, batch_of, find_lines, opening_token
from lstm_lm.data.module import TextDataModule
from lstm_lm.data.streams import IGNORE, Batch
from lstm_lm.data.token_stream import ON_HOST
from lstm_lm.errors import UserError
from lstm_lm.tokenizers.byte import ByteTokenizer
from lstm_lm.tokenizers.char import CharTokenizer

TOKENIZER = CharTokenizer("\n abc")
CHAR = {"name": "char"}


def ids(text: str) -> np.ndarray:
    return TOKENIZER.encode(text).ids


def units(text: str, longest: int = 100, separator: str = "\n") -> list[str]:
    lines = find_lines(ids(text), TOKENIZER, longest, separator, cut=separator == "\n")
    return [text[start : start + length] for start, length in zip(lines.starts, lines.lengths, strict=True)]


def train(text: str, batch_size: int, longest: int = 100, separator: str = "\n", **how: Any) -> TrainLines:
    return TrainLines(
        ON_HOST.place(ids(text)),
        find_lines(ids(text), TOKENIZER, longest, separator, cut=separator == "\n"),
        batch_size,
        **how,
    )


def read(batches: Any) -> list[str]:
    """The texts of the columns, of windows that belong together joined."""
    texts: list[str] = []
    for batch in batches:
        columns = [TOKENIZER.decode(column[column != IGNORE].tolist()) for column in batch.targets.T]
        if batch.fresh:
            texts += columns
        else:
            texts[-len(columns) :] = map(str.__add__, texts[-len(columns) :], columns)
    return texts


def test_a_line_ends_with_its_newline_and_blank_ones_are_left_out() -> None:
    assert units("ab\n\n  \nc\n") == ["ab\n", "c\n"]
    assert units("ab\nc") == ["ab\n", "c"], "the last one may have none"
    assert units("\n \n") == units("") == []


def test_a_line_that_is_too_long_is_cut_into_pieces_of_its_share() -> None:
    assert units("abcabca\nab\n", longest=3) == ["ab", "cab", "ca\n", "ab\n"]


def test_a_document_ends_with_its_separator_and_is_whole_however_long() -> None:
    assert units("ab\nc\n\nabcabc\n\n\n\nb", longest=3, separator="\n\n") == ["ab\nc\n\n", "abcabc\n\n", "b"]
    assert units("abcabca", separator="bca") == ["abca", "bca"], "no two separators share a character"


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


def test_every_unit_is_read_after_a_separator_the_first_of_a_text_and_of_a_cut_line_too() -> None:
    text = "abcb\nc"  # which does not end in a newline that the first line could be read after
    lines = find_lines(ids(text), TOKENIZER, 3)
    inputs = batch_of(ON_HOST.place(ids(text)), lines, np.arange(3)).inputs[0]
    assert TOKENIZER.decode(inputs.tolist()) == "\nb\n", "the second is the rest of a line: it has a past"


def test_the_token_before_a_unit_is_the_last_of_a_separator() -> None:
    assert opening_token(TOKENIZER, "\n") == ids("\n")[0]
    assert opening_token(ByteTokenizer(), "<|end|>") == ord(">")
    assert opening_token(ByteTokenizer(), "。") == "。".encode()[-1]


def test_a_tokenizer_that_does_not_know_the_separator_is_refused() -> None:
    """Else all lines would be one, and what is written would never end."""
    for separator in ("\n", "a;"):
        with pytest.raises(UserError, match="char tokenizer does not know"):
            find_lines(CharTokenizer("abc").encode("abc").ids, CharTokenizer("abc"), 5, separator)


def test_lines_that_are_documents_are_not_cut() -> None:
    lines = find_lines(ids("abcabc\na\n"), TOKENIZER, 4, cut=False)
    assert lines.lengths.tolist() == [7, 2]
    assert lines.windows.tolist() == [2, 1]
    assert lines.whole.all()


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_an_epoch_has_each_unit_once_but_for_fewer_than_a_batch(
    count: int, size: int, ranks: int, seed: int, longest: int
) -> None:
    lengths = np.random.default_rng(seed).integers(1, 9, count)
    lines = Lines(np.cumsum(lengths) - lengths, lengths, np.ones(count, np.bool_), 0, longest)
    tokens = ON_HOST.place(np.arange(lengths.sum()))
    if count < size * ranks:
        with pytest.raises(ValueError, match="cannot fill"):
            TrainLines(tokens, lines, size, seed=seed, world_size=ranks)
        return
    sources = [TrainLines(tokens, lines, size, seed=seed, rank=rank, world_size=ranks) for rank in range(ranks)]
    orders = []
    for _ in range(2):
        epochs = [list(source) for source in sources]
        assert len({len(epoch) for epoch in epochs}) == 1, "all processes take as many steps, in every epoch"
        for together in zip(*epochs, strict=True):
            predicted = [int((batch.targets != IGNORE).sum()) for batch in together]
            assert [batch.predicted for batch in together] == predicted
            assert {batch.of_all for batch in together} == {sum(predicted)}
            assert len({batch.fresh for batch in together}) == 1
        seen = [token for epoch in epochs for batch in epoch for token in batch.targets.T.flatten().tolist()]
        seen = [token for token in seen if token != IGNORE]
        assert len(seen) == len(set(seen))
        begun = set(seen) & set(lines.starts.tolist())
        assert len(begun) == count - count % (size * ranks)
        orders.append(seen)
    assert count < 12 or orders[0] != orders[1], "each epoch in another order"


def test_units_of_as_many_windows_are_side_by_side_and_a_state_is_fresh_where_they_begin() -> None:
    documents = ["abcabcabc\n\n"] * 2 + ["ab\n\n"] * 4
    batches = list(train("".join(documents), 2, longest=4, separator="\n\n", seed=1))
    assert sorted(batch.fresh for batch in batches) == [False, False, True, True, True]
    assert sorted(read(batches)) == sorted(documents)
    assert all(bool((batch.targets != IGNORE).all()) for batch in batches), "so here there is no padding"


@pytest.mark.parametrize(("longest", "separator"), [(100, "\n"), (2, "c\n")], ids=["lines", "documents"])
def test_the_place_in_the_sequence_is_all_there_is_to_know(longest: int, separator: str) -> None:
    text = "".join("abc"[: 1 + i % 3] + "\n" for i in range(24))
    how: dict[str, Any] = {"longest": longest, "separator": separator, "seed": 5}
    source = train(text, 3, **how)
    alone = [batch for _ in range(3) for batch in source]
    for stopped in range(len(alone)):
        first = train(text, 3, **how)
        for _ in islice((batch for _ in range(3) for batch in first), stopped):
            pass
        second = train(text, 3, **how)
        second.load_state_dict(first.state_dict())
        again: Batch = next(iter(second))
        assert torch.equal(again.targets, alone[stopped].targets)
        assert again.fresh == alone[stopped].fresh
    with pytest.raises(UserError, match="position in the training text"):
        second.load_state_dict({"epoch": -1})


@pytest.mark.parametrize("separator", ["\n", "\n\n"])
def test_evaluation_has_every_unit_once_in_order(separator: str) -> None:
    wanted = [unit + separator for unit in ("ab", "c", "abca")]
    text = "".join(wanted)
    windows = EvalLines(
        ON_HOST.place(ids(text)), find_lines(ids(text), TOKENIZER, 4, separator, cut=separator == "\n"), 2
    )
    batches = list(windows)
    assert len(windows) == len(batches)
    assert [batch.targets.shape[1] for batch in batches if batch.fresh] == ([2, 2] if separator == "\n" else [2, 1])
    assert "".join(read(batches)) == text
    places = [place[batch.targets.numpy() != IGNORE] for place, batch in zip(windows.places(), batches, strict=True)]
    assert sorted(np.concatenate(places).tolist()) == list(range(windows.predictions)), "each prediction has its place"


def test_the_data_module_hands_lines_out(section: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("".join(f"line {number}\n\n" for number in range(60)))
    options = section("text", path=str(tmp_path / "text.txt"), unit="line", batch_size=4, eval_batch_size=3)
    module = TextDataModule(options, CHAR, 1)
    module.prepare()
    batches = list(module.train_dataloader())
    assert len(batches) == module.windows_per_epoch == 54 // 4
    first = batches[0].targets[:, 0]
    assert module.tokenizer.decode(first[first != IGNORE].tolist()).startswith("line ")
    scored = sum(int((batch.targets != IGNORE).sum()) for batch in module.val_dataloader())
    assert module.predicted("validation") == scored
    whole = TextDataModule(options | {"unit": "window", "batch_size": 1}, CHAR, 1)
    whole.prepare()
    assert whole.predicted("validation") == whole.manifest.splits["validation"].tokens - 1
    few = TextDataModule(options | {"batch_size": 60}, CHAR, 1)
    with pytest.raises(UserError, match="54 of the 60 lines that a batch needs") as caught:
        few.prepare()
    assert "data.batch_size=54 at most" in str(caught.value)
