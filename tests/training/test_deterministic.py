"""`deterministic=true`: the same run twice, to the bit; and, on other machines, the same losses but for roundings."""

import json
from pathlib import Path

import pytest
import torch
from deterministic_losses import KEPT, PRECISIONS, STRATEGIES, train

from lstm_lm.runs import checkpoint_file

TOLERANCE = {"32-true": 2e-3, "64-true": 1e-9}
"""Nats per token, after up to 50 steps: other vector units sum in other orders, and each step carries that on."""


@pytest.mark.parametrize("forward", STRATEGIES)
def test_the_same_run_twice_is_the_same_to_the_bit(forward: str, tmp_path: Path) -> None:
    ends = []
    losses = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        losses.append(train(forward, "32-true", tmp_path / name))
        ends.append(checkpoint_file.load(tmp_path / name / "run" / "checkpoints" / "last.ckpt")["state_dict"])
    assert len(losses[0]) == 50
    assert losses[0] == losses[1]
    assert all(torch.equal(weight, ends[1][name]) for name, weight in ends[0].items())


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("forward", STRATEGIES)
def test_the_losses_of_fifty_steps_are_those_that_are_kept(forward: str, precision: str, tmp_path: Path) -> None:
    kept = json.loads(KEPT.read_text())[f"{forward} {precision}"]
    assert train(forward, precision, tmp_path) == pytest.approx(kept, rel=0, abs=TOLERANCE[precision])
