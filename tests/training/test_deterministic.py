"""`deterministic=true`: the same run twice, to the bit; and, on other machines, the same losses but for roundings."""

import json
from pathlib import Path

import pytest
import torch
from deterministic_losses import KEPT, PRECISIONS, STRATEGIES, train
from rounding import bound, of_losses
from tiers import smallest

from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward.interface import StackSpec
from lstm_lm.runs import checkpoint_file

STACK, WINDOW = StackSpec(LSTM, 8, (16, 16)), torch.empty(16, 4)
DTYPE = {"32-true": torch.float32, "64-true": torch.float64}


@pytest.mark.parametrize("forward", smallest(STRATEGIES, "pipelined"))
def test_the_same_run_twice_is_the_same_to_the_bit(forward: str, tmp_path: Path) -> None:
    ends = []
    losses = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        losses.append(train(forward, "32-true", tmp_path / name, steps=10, threads=2))
        ends.append(checkpoint_file.load(tmp_path / name / "run" / "checkpoints" / "last.ckpt")["state_dict"])
    assert len(losses[0]) == 10
    assert losses[0] == losses[1]
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())


@pytest.mark.parametrize("precision", smallest(PRECISIONS, "64-true"))
@pytest.mark.parametrize("forward", smallest(STRATEGIES, "fused"))
def test_the_losses_of_fifty_steps_are_those_that_are_kept(forward: str, precision: str, tmp_path: Path) -> None:
    """One kept file is for every kind of machine, and any number of threads.

    Measured with and without AVX-512, on 1 and 2 threads, the largest difference from the kept ones in any of the
    50 steps: 4.8e-7 nats in float32, of 5.4e-6 that are allowed, and 4.4e-16 in float64, of 9.3e-15. Both are two
    units in the last place or less; they don't grow with the steps, and the number of threads makes none.
    """
    kept = json.loads(KEPT.read_text())[f"{forward} {precision}"]
    dtype = DTYPE[precision]
    allowed = of_losses(bound(STACK, WINDOW, dtype, reference=dtype, beside=2), kept)  # the head, and the loss
    assert train(forward, precision, tmp_path) == pytest.approx(kept, rel=0, abs=allowed)
