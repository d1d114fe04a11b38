"""`method=context`: the curve shows how far a model looks back, over the same positions for every length."""

from typing import Any

import numpy as np
import pytest
import torch
from evaluation_models import Copies, evaluated, lstm, subject
from torch.nn.functional import cross_entropy

from lstm_lm.errors import UserError
from lstm_lm.evaluation.methods.context import USUAL, effective, effective_interval

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
        assert point["loss"] == pytest.approx(np.mean(expected), abs=1e-6)
        assert (point["loss_interval"][0] + point["loss_interval"][1]) / 2 == pytest.approx(np.mean(expected), abs=1e-6)
    assert figures["curve"][-1]["excess"] == 0


def test_the_effective_context_is_where_the_loss_stays_near_the_full_one() -> None:
    assert effective(np.array([3.0, 1.2, 1.005, 1.2, 1.009, 1.0]), 0.01) == 4
    assert effective(np.array([1.0, 1.0]), 0.01) == 0
    assert effective(np.array([2.0, 1.02, 1.0]), 0.01) == 2


def test_few_positions_leave_the_effective_context_uncertain() -> None:
    means = np.array([2.0, 1.03, 1.005, 1.0])
    few = means[:, None] + CHANCE.normal(0, 0.1, (4, 20))
    low, high = effective_interval(few, [1, 2, 4, 8], 0.01)
    assert low < high
    many = means[:, None] + CHANCE.normal(0, 0.1, (4, 20)).repeat(1, axis=1) * 1e-3
    assert effective_interval(many, [1, 2, 4, 8], 0.01) == [4, 4]


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
