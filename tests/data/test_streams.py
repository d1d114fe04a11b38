from collections import Counter
from itertools import chain, islice, repeat

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.data.streams import IGNORE, Batch, EvalWindows, TrainWindows
from lstm_lm.errors import UserError

SEEDS = st.integers(0, 2**32 - 1)


def row(length: int) -> np.ndarray:
    """Ids that tell their own position."""
    return np.arange(length, dtype=np.uint32)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """(N, B, T, processes) with at least one token a stream."""
    batch_size, world_size = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    length = draw(st.integers(batch_size * world_size, 400))
    return length, batch_size, draw(st.integers(1, 50)), world_size


def streams(batches: list[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of an epoch, [stream length, B]."""
    return tuple(torch.cat([batch[i] for batch in batches]).numpy() for i in (0, 1))


class TestTrainWindows:
    @given(shapes(), SEEDS)
    def test_every_token_is_a_target_once_but_for_fewer_than_there_are_streams(self, shape, seed):
        length, batch_size, seq_len, world_size = shape
        ranks = [
            TrainWindows(row(length), batch_size, seq_len, seed=seed, rank=rank, world_size=world_size)
            for rank in range(world_size)
        ]
        for _ in range(3):
            targets = Counter(token for rank in ranks for batch in rank for token in batch.targets.flatten().tolist())
            assert max(targets.values()) == 1
            assert length - len(targets) == length % (batch_size * world_size)

    @given(shapes(), SEEDS)
    def test_a_window_goes_on_where_the_one_before_it_ended(self, shape, seed):
        length, batch_size, seq_len, _ = shape
        windows = TrainWindows(row(length), batch_size, seq_len, seed=seed)
        batches = list(windows)
        inputs, targets = streams(batches)
        assert len(batches) == len(windows)
        assert inputs.shape == targets.shape == (length // batch_size, batch_size)
        assert np.array_equal(inputs[1:], targets[:-1])
        assert np.array_equal(targets, (inputs + 1) % length)
        assert all(len(batch.inputs) == seq_len for batch in batches[:-1])
        assert [batch.fresh for batch in batches] == [True] + [False] * (len(batches) - 1)
        assert batches[0].inputs.dtype == batches[0].targets.dtype == torch.int64

    @given(shapes(), SEEDS, st.integers(0, 100))
    def test_a_saved_position_continues_as_if_nothing_had_happened(self, shape, seed, taken):
        length, batch_size, seq_len, _ = shape

        def windows() -> TrainWindows:
            return TrainWindows(row(length), batch_size, seq_len, seed=seed)

        whole = windows()
        expected = [batch for _ in range(3) for batch in whole]
        taken = min(taken, len(expected))
        first, second = windows(), windows()
        for _ in islice(chain.from_iterable(repeat(first)), taken):
            pass
        second.load_state_dict(first.state_dict())
        continued = islice(chain.from_iterable(repeat(second)), len(expected) - taken)
        for ours, theirs in zip(continued, expected[taken:], strict=True):
            assert torch.equal(ours.inputs, theirs.inputs)
            assert torch.equal(ours.targets, theirs.targets)
            assert ours.fresh == theirs.fresh

    @given(shapes(), SEEDS)
    def test_processes_share_out_the_streams_of_one(self, shape, seed):
        length, batch_size, seq_len, world_size = shape
        together = list(TrainWindows(row(length), batch_size * world_size, seq_len, seed=seed))
        apart = [
            list(TrainWindows(row(length), batch_size, seq_len, seed=seed, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
        for window, batch in enumerate(together):
            assert torch.equal(torch.cat([part[window].inputs for part in apart], dim=1), batch.inputs)
            assert torch.equal(torch.cat([part[window].targets for part in apart], dim=1), batch.targets)

    def test_the_offset_depends_on_seed_and_epoch_alone(self):
        windows = TrainWindows(row(1000), 4, 10, seed=5)
        offsets = [windows.offset(epoch) for epoch in range(20)]
        assert offsets == [TrainWindows(row(1000), 2, 7, seed=5).offset(epoch) for epoch in range(20)]
        assert len(set(offsets)) > 10
        assert offsets != [TrainWindows(row(1000), 4, 10, seed=6).offset(epoch) for epoch in range(20)]
        # A resumed run must find the place again with any version of numpy: these figures never change.
        assert offsets[:3] == [183, 300, 173]

    def test_each_iteration_is_the_next_epoch(self):
        windows = TrainWindows(row(100), 2, 10, seed=0)
        for epoch in range(3):
            assert int(next(iter(list(windows))).inputs[0, 0]) == windows.offset(epoch)

    def test_an_iteration_cut_short_does_not_tear_the_sequence(self):
        whole, cut = TrainWindows(row(100), 2, 10, seed=0), TrainWindows(row(100), 2, 10, seed=0)
        expected = [*whole, *whole]
        seen: list[Batch] = []
        while len(seen) < 8:
            seen += islice(cut, min(3, 8 - len(seen)))
        assert all(torch.equal(ours.inputs, theirs.inputs) for ours, theirs in zip(seen, expected[:8], strict=True))

    def test_a_place_is_taken_up_by_an_iterator_that_was_there_before(self):
        windows = TrainWindows(row(100), 2, 10, seed=0)
        unused = iter(windows)
        windows.load_state_dict({"epoch": 3, "window": 4})
        assert int(next(unused).inputs[0, 0]) == (windows.offset(3) + 40) % 100
        assert windows.state_dict() == {"epoch": 3, "window": 5}
        assert int(next(unused).inputs[0, 0]) == windows.offset(4)
        assert windows.state_dict() == {"epoch": 4, "window": 1}

    def test_without_carried_state_every_window_is_fresh(self):
        assert all(batch.fresh for batch in TrainWindows(row(100), 2, 10, seed=0, carry_state=False))

    def test_fewer_tokens_than_streams_are_refused(self):
        with pytest.raises(ValueError, match="3 tokens cannot fill 4 streams"):
            TrainWindows(row(3), 2, 10, seed=0, world_size=2)

    @pytest.mark.parametrize(
        "state",
        [
            {},
            {"epoch": 1},
            {"epoch": -1, "window": 0},
            {"epoch": 0, "window": 0.5},
            {"epoch": True, "window": 0},
        ],
    )
    def test_a_damaged_position_is_refused(self, state):
        with pytest.raises(UserError, match="position in the training text is not valid"):
            TrainWindows(row(100), 2, 10, seed=0).load_state_dict(state)


class TestEvalWindows:
    @given(st.integers(2, 500), st.integers(1, 9), st.integers(1, 40), st.integers(0, 60))
    def test_every_token_but_the_first_is_predicted_once_after_enough_context(self, length, streams_, seq_len, context):
        windows = EvalWindows(row(length), streams_, seq_len, context=context)
        batches = list(windows)
        inputs, targets = streams(batches)
        scored = targets != IGNORE
        assert len(batches) == len(windows)
        assert sorted(targets[scored].tolist()) == list(range(1, length))
        assert np.array_equal(targets[scored], inputs[scored] + 1)
        assert all((batch.targets != IGNORE).any() for batch in batches)  # a mean over targets always exists
        assert [batch.fresh for batch in batches] == [True] + [False] * (len(batches) - 1)
        for stream in range(inputs.shape[1]):
            read = inputs[:, stream]
            assert np.array_equal(read, np.minimum(np.arange(len(read)) + read[0], length - 1))  # contiguous
            first = int(np.argmax(scored[:, stream]))
            assert scored[:, stream].any()
            assert (read[0] == 0 and first == 0) if stream == 0 else first == context

    @given(st.integers(2, 500), st.integers(1, 40))
    def test_one_stream_is_the_text_itself(self, length, seq_len):
        inputs, targets = streams(list(EvalWindows(row(length), 1, seq_len, context=16)))
        assert inputs[:, 0].tolist() == list(range(length - 1))
        assert targets[:, 0].tolist() == list(range(1, length))

    def test_streams_run_side_by_side_where_the_text_is_long_enough(self):
        windows = EvalWindows(row(10_001), 8, 100, context=256)
        assert windows.batch_size == 8
        assert len(windows) == -(-(-(-(10_000 - 256) // 8) + 256) // 100)

    def test_a_short_text_is_read_in_one_stream(self):
        assert EvalWindows(row(300), 8, 100, context=256).batch_size == 1

    def test_each_iteration_is_the_same(self):
        windows = EvalWindows(row(300), 4, 32, context=8)
        assert all(torch.equal(a.targets, b.targets) for a, b in zip(windows, windows, strict=True))

    @pytest.mark.parametrize("length", [0, 1])
    def test_nothing_to_predict_is_refused(self, length):
        with pytest.raises(ValueError, match="nothing to predict"):
            EvalWindows(row(length), 1, 8, context=0)


def test_windows_read_a_memory_map_of_small_ids(tmp_path):
    (tmp_path / "ids").write_bytes(bytes(range(200)))
    ids = np.memmap(tmp_path / "ids", dtype=np.uint8, mode="r")
    _, targets = streams(list(TrainWindows(ids, 8, 5, seed=1)))
    assert sorted(targets.flatten().tolist()) == list(range(200))
