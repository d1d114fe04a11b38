"""The training loss."""

import math
from typing import Any

import pytest
import torch

import lstm_lm
from lstm_lm.data.streams import IGNORE, Batch
from lstm_lm.errors import UserError
from lstm_lm.training.objectives.build import build_objective
from lstm_lm.training.objectives.language_modelling import LanguageModelling, summed_cross_entropy


def objective(*overrides: str) -> LanguageModelling:
    config = lstm_lm.compose(*overrides)
    built = build_objective(config["objective"], config["model"])
    assert isinstance(built, LanguageModelling)
    return built


class Uniform:
    """A model that thinks all V tokens equally likely."""

    def __call__(self, tokens: torch.Tensor, state: int) -> tuple[torch.Tensor, int]:
        return torch.zeros(*tokens.shape, 7), state + 1


def test_a_uniform_model_loses_log_v_a_token() -> None:
    tokens = torch.zeros(3, 2, dtype=torch.int64)
    result = objective().loss(Uniform(), Batch(tokens, tokens, fresh=True), 0)  # type: ignore[arg-type]
    torch.testing.assert_close(result.loss, torch.tensor(math.log(7)))
    assert result.state == 1
    assert result.tokens.item() == 6
    torch.testing.assert_close(result.nats, torch.tensor(6 * math.log(7)))


def test_ignored_targets_count_for_nothing() -> None:
    tokens = torch.zeros(3, 2, dtype=torch.int64)
    targets = tokens.clone()
    targets[0] = IGNORE
    result = objective().loss(Uniform(), Batch(tokens, targets, fresh=True), 0)  # type: ignore[arg-type]
    assert result.tokens.item() == 4
    torch.testing.assert_close(result.loss, torch.tensor(math.log(7)))


def test_low_precision_logits_are_summed_in_float32() -> None:
    logits = torch.randn(50, 40, 7, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets = torch.zeros(50, 40, dtype=torch.int64)
    got = summed_cross_entropy(logits, targets)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, summed_cross_entropy(logits.double(), targets).float(), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"name": "guessing"}, "objective='guessing': no such option"),
        ({"name": "language_modelling", "smooth": 1}, "objective.smooth: no such key"),
    ],
)
def test_wrong_options_are_refused(section: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_objective(section, lstm_lm.compose()["model"])
