"""`method=context`: the curve shows how far a model looks back, over the same positions for every length."""

from typing import Any

import numpy as np
import pytest
import torch
from evaluation_models import Copies, Planned, evaluated, lstm, rounding_of, subject
from torch.nn.functional import cross_entropy

from lstm_lm.errors import UserError
from lstm_lm.evaluation.methods.context import USUAL, blocks_of, effective, effective_interval

CHANCE = np.random.default_rng(0)


def repeating(period: int, count: int = 3000, kinds: int = 8) -> Any:
    """Random tokens, again and again: each equals the one `period` before it."""
    return np.resize(CHANCE.integers(0, kinds, period), count)


@pytest.mark.parametrize("lag", [1, 4, 32])
def test_the_loss_drops_where_the_planted_lag_comes_into_sight(lag: int) -> None:
    model = Copies(lag, 8)
    figures = evaluated(subject(model, {"validation": repeating(lag)}), "context", positions=200)
    assert [point["length"] for point in figures["curve"]] == list(USUAL)
    for point in figures["curve"]:
        if point["length"] < lag:
            assert point["loss"] == pytest.approx(np.log(8))
        else:
            assert point["loss"] < 0.01
    assert figures["effective_context"] == lag
    assert figures["effective_context_interval"] == [lag, lag]


def test_every_length_is_scored_from_a_zero_state_at_the_same_positions() -> None:
    model = lstm(6)
    ids = CHANCE.integers(0, 6, 300)
    figures = evaluated(
        subject(model, {"test": ids}), "context", split="test", positions=12, lengths=[3, 150], batch_size=5
    )
    positions = np.linspace(150, 299, 12).astype(int)
    for point in figures["curve"]:
        expected = []
        for position in positions:
            seen = torch.from_numpy(ids[position - point["length"] : position]).unsqueeze(1)
            with torch.no_grad():
                logits, _ = model(seen, model.initial_state(1))
            expected.append(cross_entropy(logits[-1], torch.tensor([ids[position]])).item())
        mean = float(np.mean(expected))
        assert point["loss"] == pytest.approx(mean, rel=0, abs=rounding_of(mean, model))
        assert point["loss_interval"] is None  # 150 tokens are too few to cut into blocks
    assert figures["curve"][-1]["excess"] == 0


def test_the_effective_context_is_where_the_loss_stays_near_the_full_one() -> None:
    assert effective(np.array([3.0, 1.2, 1.005, 1.2, 1.009, 1.0]), 0.01) == 4
    assert effective(np.array([1.0, 1.0]), 0.01) == 0
    assert effective(np.array([2.0, 1.02, 1.0]), 0.01) == 2


def test_few_positions_leave_the_effective_context_uncertain() -> None:
    means, blocks = np.array([2.0, 1.03, 1.005, 1.0]), np.arange(20)
    noise = CHANCE.normal(0, 0.1, (4, 20))
    found = effective_interval(means[:, None] + noise, [1, 2, 4, 8], 0.01, blocks)
    assert found is not None
    assert found[0] < found[1]
    assert effective_interval(means[:, None] + noise * 1e-3, [1, 2, 4, 8], 0.01, blocks) == [4, 4]
    assert effective_interval(means[:, None] + noise, [1, 2, 4, 8], 0.01, blocks // 3) is None


def test_blocks_are_contiguous_and_as_long_as_each_other() -> None:
    blocks = blocks_of(np.arange(1000, 7000, 3))
    assert np.bincount(blocks).tolist() == pytest.approx([2000 / 30] * 30, abs=1)
    assert (np.diff(blocks) >= 0).all()
    assert blocks_of(np.linspace(0, 10**6, 12).astype(int)).tolist() == list(range(12))


def test_the_interval_knows_that_neighbours_depend_on_each_other() -> None:
    """Tokens that come in runs of 30 are ten times fewer surprises than there are positions."""
    model = Planned(2)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([2.0, 0.0]))
    truth = cross_entropy(model.bias.detach().expand(2, 2), torch.tensor([0, 1])).item()
    right = 0
    for _ in range(40):
        ids = CHANCE.integers(0, 2, 100).repeat(30)
        [point] = evaluated(subject(model, {"validation": ids}), "context", lengths=[1])["curve"]
        low, high = point["loss_interval"]
        right += low <= truth <= high
    assert right >= 34  # 95 % of 40 are 38; over single positions they would be about 12


class Short(Copies):
    """A model that holds 8 tokens."""

    @property
    def context_limit(self) -> int:
        return 8


def test_a_model_that_holds_less_is_measured_as_far_as_it_goes() -> None:
    limited = subject(Short(4, 8), {"validation": repeating(4)})
    figures = evaluated(limited, "context", positions=50)
    assert figures["full_context"] == figures["context_limit"] == 8
    with pytest.raises(UserError, match="16 tokens is more than this model holds: 8"):
        evaluated(limited, "context", lengths=[2, 16])


def test_a_short_text_is_measured_as_far_as_it_goes() -> None:
    short = subject(Copies(2, 8), {"validation": repeating(2, count=100)})
    figures = evaluated(short, "context")
    assert figures["full_context"] == 32
    assert figures["positions"] == 68
    with pytest.raises(UserError, match="too long for the validation text of 100 tokens"):
        evaluated(short, "context", lengths=[91])
    with pytest.raises(UserError, match="too short: 11 tokens"):
        evaluated(subject(Copies(2, 8), {"validation": repeating(2, count=11)}), "context")
    with pytest.raises(UserError, match="no test split"):
        evaluated(short, "context", split="test")
