"""Windows are the same wherever the text lies; where it lies follows from its size and the GPU's free memory."""

from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch

from lstm_lm.data import token_stream
from lstm_lm.data.streams import Batch, EvalWindows, TrainWindows
from lstm_lm.data.token_stream import ON_HOST, Placement, choose
from lstm_lm.errors import UserError

CPU = torch.device("cpu")
GPU = torch.device("cuda:0")  # only named here: nothing is put on it
WHOLE = Placement(CPU, on_device=True, reason="a test")
"""The way a GPU's windows are cut, with this machine's memory in the GPU's place."""


def text(dtype: str, largest: int, length: int = 101) -> np.ndarray[Any, Any]:
    """`length` ids up to `largest`, which is among them, in a memory that may not be written to."""
    ids = np.random.default_rng(0).integers(0, largest, length, dtype=np.int64, endpoint=True)
    ids[length // 2] = largest
    ids = ids.astype(dtype)
    ids.flags.writeable = False
    return ids


def same(one: Batch, other: Batch) -> bool:
    return (
        torch.equal(one.inputs, other.inputs)
        and torch.equal(one.targets, other.targets)
        and one.fresh == other.fresh
        and other.inputs.dtype == other.targets.dtype == torch.int64
    )


@pytest.mark.parametrize(
    ("dtype", "largest"),
    [("uint8", 255), ("uint16", 2**15 - 1), ("uint16", 2**16 - 1), ("uint32", 2**31 - 1), ("uint32", 2**32 - 1)],
)
def test_training_windows_are_those_of_the_memory_map(dtype: str, largest: int) -> None:
    tokens = text(dtype, largest)
    here = TrainWindows(tokens, 4, 7, seed=3)
    there = TrainWindows(WHOLE.place(tokens), 4, 7, seed=3)
    assert len(here) == len(there)
    epochs = 3
    for _ in range(epochs):
        assert all(same(one, other) for one, other in zip(here, there, strict=True))
    assert here.state_dict() == there.state_dict() == {"epoch": epochs - 1, "window": len(here)}


@pytest.mark.parametrize("length", [2, 3, 30, 41, 101])
@pytest.mark.parametrize("context", [0, 3, 20])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_evaluation_windows_are_those_of_the_memory_map(length: int, context: int, batch_size: int) -> None:
    tokens = text("uint8", 60, length)
    here = EvalWindows(tokens, batch_size, 7, context=context)
    there = EvalWindows(WHOLE.place(tokens), batch_size, 7, context=context)
    assert all(same(one, other) for one, other in zip(here, there, strict=True))


def test_windows_of_one_reader_do_not_change_each_other() -> None:
    windows = TrainWindows(WHOLE.place(text("uint8", 60)), 4, 7, seed=3)
    kept = [(batch, batch.inputs.clone(), batch.targets.clone()) for batch in islice(windows, 3)]
    for batch, inputs, targets in kept:
        assert torch.equal(batch.inputs, inputs)
        assert torch.equal(batch.targets, targets)


def test_on_a_cpu_nothing_is_copied() -> None:
    tokens = text("uint8", 60)
    placed = ON_HOST.place(tokens)
    assert placed.on_device is None
    assert np.shares_memory(placed.host, tokens)
    for asked in ("auto", "device", "host"):
        assert choose(asked, CPU, tokens=10**15, vocabulary_size=100) is ON_HOST  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("vocabulary_size", "bytes_each"), [(256, 1), (257, 2), (2**15, 2), (2**15 + 1, 4), (2**31 + 1, 8)]
)
def test_auto_puts_a_text_on_the_gpu_if_it_takes_a_tenth_of_the_free_memory(
    vocabulary_size: int, bytes_each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_stream, "free_memory", lambda _: 1_000_000)
    most = 100_000 // bytes_each
    fits = choose("auto", GPU, most, vocabulary_size)
    assert (fits.device, fits.name) == (GPU, "device")
    too_much = choose("auto", GPU, most + 1, vocabulary_size)
    assert (too_much.device, too_much.name) == (GPU, "host")
    assert "too much for cuda:0" in too_much.reason


def test_what_is_asked_for_is_done_if_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_stream, "free_memory", lambda _: 1_000_000)
    assert choose("host", GPU, 1, 100).name == "host"
    assert choose("device", GPU, 1_000_000, 100).name == "device"
    with pytest.raises(UserError, match=r"runtime\.token_stream=device: the text takes") as caught:
        choose("device", GPU, 1_000_001, 100)
    assert str(caught.value).count("\n") <= 3


def test_an_apple_gpu_shares_the_hosts_memory() -> None:
    mps = torch.device("mps")
    assert choose("auto", mps, 1, 100).name == "host"
    assert choose("device", mps, 1, 100).name == "device"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("on_device", [True, False])
def test_on_a_gpu_windows_are_handed_out_there(on_device: bool) -> None:
    tokens = text("uint16", 2**16 - 1)
    placement = Placement(GPU, on_device=on_device, reason="a test")
    here, there = TrainWindows(tokens, 4, 7, seed=3), TrainWindows(placement.place(tokens), 4, 7, seed=3)
    for one, other in zip(here, there, strict=True):
        assert other.inputs.device == other.targets.device == GPU
        assert same(one, Batch(other.inputs.cpu(), other.targets.cpu(), other.fresh))
    here_too = EvalWindows(tokens, 4, 7, context=3)
    for one, other in zip(here_too, EvalWindows(placement.place(tokens), 4, 7, context=3), strict=True):
        assert same(one, Batch(other.inputs.cpu(), other.targets.cpu(), other.fresh))
