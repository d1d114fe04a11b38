"""The one place that chooses a strategy."""

import dataclasses

import pytest
import torch

from lstm_lm.cells.lstm import LSTM
from lstm_lm.errors import UserError
from lstm_lm.forward.choose import PREFERENCE, choose
from lstm_lm.forward.interface import StackSpec
from lstm_lm.registry import names

CPU = torch.device("cpu")
SPEC = StackSpec(LSTM, 4, (8, 8))
CUSTOM = StackSpec(dataclasses.replace(LSTM, deviations=("layer_norm=true",)), 4, (8, 8))


def test_auto_takes_the_vendors_kernel_where_it_computes_the_cell() -> None:
    choice = choose("auto", SPEC, CPU, torch.float32)
    assert choice.strategy.name == "fused"
    assert "vendor" in choice.reason


def test_auto_says_why_it_passed_the_vendors_kernel_over() -> None:
    choice = choose("auto", CUSTOM, CPU, torch.float32)
    assert choice.strategy.name == "stepwise"
    assert "layer_norm=true" in choice.reason


def test_a_strategy_that_cannot_run_is_refused_with_its_reason_and_the_others() -> None:
    with pytest.raises(UserError, match="no vendor's kernel") as caught:
        choose("fused", CUSTOM, CPU, torch.float32)
    assert "stepwise" in str(caught.value)


def test_an_unknown_strategy_lists_those_there_are() -> None:
    with pytest.raises(UserError) as caught:
        choose("fast", SPEC, CPU, torch.float32)
    assert all(name in str(caught.value) for name in names("lstm_lm.forward"))


def test_auto_considers_every_strategy() -> None:
    assert set(PREFERENCE) == set(names("lstm_lm.forward"))


def test_mps_takes_no_bfloat16_kernel() -> None:
    assert choose("auto", SPEC, torch.device("mps"), torch.bfloat16).strategy.name == "stepwise"
