"""The simple recurrent cell, read next to its equation."""

import pytest
import torch

from lstm_lm.cells.interface import StepMasks
from lstm_lm.cells.rnn import RNN, rnn_cell


@pytest.mark.parametrize(("activation", "function"), [("tanh", torch.tanh), ("relu", torch.relu)])
def test_step_computes_the_published_equation(activation: str, function: torch.nn.Module) -> None:
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), given as two shares or as their sum."""
    torch.manual_seed(0)
    x, h = torch.randn(3, 5, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    w_ih, w_hh = torch.randn(4, 5, dtype=torch.float64), torch.randn(4, 4, dtype=torch.float64)
    b_ih, b_hh = torch.randn(2, 4, dtype=torch.float64)
    expected = function(x @ w_ih.T + b_ih + h @ w_hh.T + b_hh)
    from_input, from_hidden, cell = x @ w_ih.T + b_ih, h @ w_hh.T + b_hh, rnn_cell(activation)
    for given in ((from_input, from_hidden), (from_input + from_hidden, None)):
        (got,) = cell.step(*given, (h,), (), StepMasks())
        torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-14)


def test_zoneout_keeps_some_of_the_state() -> None:
    torch.manual_seed(0)
    total, h = torch.randn(2, 3, 4)
    stay = torch.tensor([1.0, 0.0, 1.0, 0.0])
    (got,) = RNN.step(total, None, (h,), (), StepMasks(hidden=stay))
    torch.testing.assert_close(got, torch.where(stay == 1, h, torch.tanh(total)))


def test_it_is_one_object_however_often_it_is_asked_for() -> None:
    """What was compiled for it is found again."""
    assert rnn_cell() is rnn_cell("tanh") is RNN
    assert rnn_cell("relu") is rnn_cell("relu") is not RNN
