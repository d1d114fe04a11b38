"""Losses in the units people compare."""

import math

import pytest
import torch

from lstm_lm.data.streams import IGNORE
from lstm_lm.evaluation.scores import Scores, TokenLoss, unknown_pieces
from lstm_lm.evaluation.token_sizes import Counts, TokenSizes
from lstm_lm.tokenizers.byte import ByteTokenizer

BYTES = TokenSizes(ByteTokenizer())


def test_a_uniform_model_of_bytes_needs_eight_bits_a_byte() -> None:
    scores = Scores.of(math.log(256), Counts(tokens=100, characters=80, bytes=100))
    assert scores.perplexity == pytest.approx(256)
    assert scores.bits_per_byte == pytest.approx(8)
    assert scores.bits_per_character == pytest.approx(10)


def test_where_tokens_were_replaced_there_are_no_bits_but_a_reason() -> None:
    scores = Scores.of(1.0, Counts(tokens=100, characters=80, bytes=100), unknown_pieces(1200))
    assert scores.bits_per_byte is None
    assert scores.bits_per_character is None
    assert scores.reason is not None
    assert "1,200" in scores.reason


def test_a_hopeless_loss_has_infinite_perplexity_not_an_overflow() -> None:
    assert Scores.of(1e6, Counts(1, 1, 1)).perplexity == math.inf


def targets(text: str, steps: int) -> torch.Tensor:
    """The bytes of a text as one stream of so many `steps`, then IGNORE."""
    ids = list(text.encode())
    return torch.tensor(ids + [IGNORE] * (steps - len(ids)))[:, None]


def test_the_mean_weighs_tokens_not_windows_and_says_what_they_stand_for() -> None:
    metric = TokenLoss(BYTES)
    metric.update(torch.tensor(10.0), targets("für", 5))
    metric.update(torch.tensor(3.0), targets("a", 5))
    loss, counts = metric.compute()
    assert loss == pytest.approx(13 / 5)
    assert counts == Counts(tokens=5, characters=4, bytes=5)


def test_many_small_windows_do_not_round_away() -> None:
    metric = TokenLoss(BYTES)
    metric.update(torch.tensor(3e8), targets("a", 1))
    for _ in range(1000):
        metric.update(torch.tensor(1.0), targets("", 1))
    assert metric.nats.item() == 3e8 + 1000


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_a_module_turned_to_a_16_bit_type_leaves_the_sums_as_they_are(kind: torch.dtype) -> None:
    module = torch.nn.Module()
    module.metric = TokenLoss(BYTES)
    module.to(kind)
    for _ in range(1000):
        module.metric.update(torch.tensor(2500.0), targets("x" * 1024, 1024))
    assert module.metric.compute() == (pytest.approx(2500 / 1024), Counts(1024_000, 1024_000, 1024_000))
    module.metric.reset()
    assert module.metric.nats.dtype == torch.float64
