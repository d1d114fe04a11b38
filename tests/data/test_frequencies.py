"""What a guess by frequencies alone costs."""

import math

import numpy as np
import pytest

from lstm_lm.data import frequencies
from lstm_lm.data.frequencies import entropy


def test_equally_frequent_tokens_leave_all_of_them_to_choose_from() -> None:
    assert entropy(np.arange(64, dtype=np.uint8).repeat(3)) == pytest.approx(math.log(64))


def test_one_token_leaves_nothing_to_choose() -> None:
    assert entropy(np.full(10, 7, np.uint16)) == 0


def test_no_text_has_none() -> None:
    assert entropy(np.empty(0, np.uint8)) is None


def test_it_is_the_same_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = np.random.default_rng(1).integers(0, 300, 1000).astype(np.uint16)
    whole = entropy(tokens)
    monkeypatch.setattr(frequencies, "PIECE", 7)
    assert entropy(tokens) == whole
