"""The rule of `budget=`: what must hold whatever its constants are fitted to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.training.tuning.rule import (
    CONSTANTS,
    DROPOUTS,
    best_settings,
    effective_tokens,
    learning_rate,
    predicted_loss,
)

PARAMETERS = st.integers(10_000, 20_000_000)
TOKENS = st.integers(10_000, 50_000_000)
PASSES = st.floats(0.01, 2_000)
TINY = 1e-6
"""Nats: the best number of passes is searched for, not calculated."""


@given(PARAMETERS, TOKENS, PASSES, st.floats(1, 50))
def test_more_time_never_gives_a_worse_loss(parameters: int, tokens: int, passes: float, longer: float) -> None:
    less, more = (best_settings(parameters, tokens, most) for most in (passes, passes * longer))
    assert more.loss <= less.loss + TINY
    assert less.passes <= passes


@given(PARAMETERS, TOKENS, st.floats(1, 50), PASSES)
def test_a_shorter_text_never_gets_less_dropout(parameters: int, tokens: int, times: float, passes: float) -> None:
    """For the same model and as many passes."""

    def best(tokens: int) -> float:
        return min(DROPOUTS, key=lambda dropout: predicted_loss(parameters, tokens, passes, dropout))

    assert best(tokens) >= best(int(tokens * times))


@given(PARAMETERS, TOKENS, PASSES)
def test_the_settings_are_the_best_of_all(parameters: int, tokens: int, passes: float) -> None:
    best = best_settings(parameters, tokens, passes)
    assert best.loss == predicted_loss(parameters, tokens, best.passes, best.dropout)
    for dropout in DROPOUTS:
        for share in (0.01, 0.1, 0.5, 0.9, 1.0):
            tried = max(share * passes, 1e-3)
            assert best.loss <= predicted_loss(parameters, tokens, tried, dropout) + TINY


@given(TOKENS, st.floats(0.01, 1), st.floats(1, 1_000))
def test_a_text_seen_again_is_worth_less_than_a_new_one(tokens: int, first: float, again: float) -> None:
    assert effective_tokens(tokens, first) == pytest.approx(first * tokens), "nothing has been seen twice"
    assert tokens <= effective_tokens(tokens, again) <= again * tokens * (1 + 1e-9)
    assert effective_tokens(tokens, again) <= tokens * (1 + CONSTANTS.repeats) * (1 + 1e-9)


def test_a_large_model_pays_where_there_is_text_and_time() -> None:
    small, large = 100_000, 3_000_000

    def taken(tokens: int, passes_of_the_small: float) -> int:
        """Steps of the large one take ten times as long."""
        passes = {small: passes_of_the_small, large: passes_of_the_small / 10}
        return min(passes, key=lambda size: best_settings(size, tokens, passes[size]).loss)

    assert taken(1_000_000, 3) == small
    assert taken(1_000_000, 300) == large


def test_a_short_text_gets_dropout_and_an_end() -> None:
    short, long = best_settings(1_000_000, 50_000, 500), best_settings(1_000_000, 5_000_000, 5)  # as many steps
    assert short.dropout > long.dropout
    assert short.passes < 500


def test_a_dropout_that_is_set_stays() -> None:
    assert best_settings(1_000_000, 50_000, 20, [0.1]).dropout == 0.1


def test_without_its_third_term_the_rule_wants_all_the_time_and_no_dropout() -> None:
    found = best_settings(1_000_000, 50_000, 500, constants=replace(CONSTANTS, overfit=0.0))
    assert (found.passes, found.dropout) == (500, 0.0)


def test_rates_are_those_of_the_optimizers_that_were_measured() -> None:
    assert learning_rate("muon") == 2e-2
    assert learning_rate("sgd") is None, "it keeps the one that its file has"
