"""How long windows are: whatever was drawn, they cover the stream, and there are as many of them."""

from itertools import chain, islice, repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data.corpora.interface import CorpusOptions
from lstm_lm.data.streams import TrainWindows
from lstm_lm.data.window_lengths import LONGER, bounds, longest
from lstm_lm.errors import UserError

SIZES = (st.integers(1, 5000), st.integers(1, 200), st.integers(0, 2**32 - 1))


@given(*SIZES)
def test_random_windows_cover_the_stream_none_empty_as_many_as_fixed_ones(stream: int, seq_len: int, seed: int) -> None:
    fixed, drawn = (bounds(kind, stream, seq_len, (seed, 0)) for kind in ("fixed", "random"))
    assert len(drawn) == len(fixed) == -(-stream // seq_len) + 1
    assert drawn[0] == fixed[0] == 0
    assert drawn[-1] == fixed[-1] == stream
    lengths = np.diff(drawn)
    assert lengths.min() >= 1
    assert lengths.max() <= longest("random", stream, seq_len) <= seq_len + LONGER
    assert np.diff(fixed)[:-1].tolist() == [seq_len] * (len(fixed) - 2)


@given(*SIZES)
def test_they_depend_on_the_seed_alone(stream: int, seq_len: int, seed: int) -> None:
    assert np.array_equal(bounds("random", stream, seq_len, (seed, 3)), bounds("random", stream, seq_len, (seed, 3)))


def test_they_lie_around_the_length_that_was_asked_for_or_half_of_it() -> None:
    """10,000 windows of 70: 5 % around 35 and the rest around 70, all times 1 / 0.975, to fill the stream."""
    lengths = np.diff(bounds("random", 700_000, 70, (0, 0)))
    halves = lengths < 52
    assert 0.04 < halves.mean() < 0.06
    scale = 1 / 0.975
    assert lengths[~halves].mean() == pytest.approx(70 * scale, abs=0.3)
    assert lengths[~halves].std() == pytest.approx(5 * scale, abs=0.2)
    assert lengths[halves].mean() == pytest.approx(35 * scale, abs=1)
    # a resumed run must find the place again with any version of numpy: these figures never change
    assert lengths[:6].tolist() == [75, 83, 39, 74, 41, 77]


def row(length: int) -> np.ndarray:
    return np.arange(length, dtype=np.uint16)


@given(st.integers(20, 600), st.integers(1, 5), st.integers(1, 40), st.integers(0, 1000), st.integers(0, 60))
def test_a_saved_place_continues_and_each_token_is_a_target_once(
    length: int, batch_size: int, seq_len: int, seed: int, taken: int
) -> None:
    def windows() -> TrainWindows:
        return TrainWindows(row(length), batch_size, seq_len, seed=seed, lengths="random")

    whole = windows()
    epochs = [list(whole) for _ in range(2)]
    for epoch in epochs:
        targets = sorted(token for batch in epoch for token in batch.targets.flatten().tolist())
        assert len(targets) == len(set(targets)) == length - length % batch_size
        assert {batch.divisor for batch in epoch} == {seq_len * batch_size}, "so each token counts alike"
    expected = [batch for epoch in epochs for batch in epoch]
    taken = min(taken, len(expected))
    first, second = windows(), windows()
    for _ in islice(chain.from_iterable(repeat(first)), taken):
        pass
    second.load_state_dict(first.state_dict())
    continued = islice(chain.from_iterable(repeat(second)), len(expected) - taken)
    for ours, theirs in zip(continued, expected[taken:], strict=True):
        assert np.array_equal(ours.inputs, theirs.inputs)
        assert ours.fresh == theirs.fresh


def test_fixed_windows_are_divided_by_their_own_tokens_the_last_and_shorter_one_too() -> None:
    assert {batch.divisor for batch in TrainWindows(row(100), 2, 30, seed=0)} == {None}


def test_lines_have_their_own_lengths() -> None:
    import lstm_lm

    section = lstm_lm.compose("data.unit=line", "data.window_lengths=random")["data"]
    with pytest.raises(UserError, match=r"data\.window_lengths='random': must be fixed with data\.unit=line"):
        CorpusOptions.parse(section, "data")
