"""Recurrent dropout, next to its equation: on what is written, never on what is remembered."""

import torch

from lstm_lm.cells.interface import StepMasks
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.recurrent_dropout import drop


def test_without_a_mask_nothing_changes() -> None:
    candidate = torch.randn(3, 4)
    assert drop(candidate, None) is candidate


def test_the_mask_is_a_factor_on_the_candidate_alone() -> None:
    torch.manual_seed(0)
    from_input, from_hidden = torch.randn(2, 3, 16, dtype=torch.float64)
    h, c = torch.randn(2, 3, 4, dtype=torch.float64)
    mask = torch.tensor([0.0, 2.0, 2.0, 0.0], dtype=torch.float64).expand(3, 4)
    i, f, g, o = (from_input + from_hidden).chunk(4, dim=-1)
    c_next = torch.sigmoid(f) * c + torch.sigmoid(i) * (mask * torch.tanh(g))
    h_next = torch.sigmoid(o) * torch.tanh(c_next)
    got_h, got_c = LSTM.step(from_input, from_hidden, (h, c), (), StepMasks(candidate=mask))
    torch.testing.assert_close((got_h, got_c), (h_next, c_next), rtol=1e-12, atol=0)


def test_what_is_remembered_is_never_dropped() -> None:
    """With every candidate dropped, an open forget gate keeps the whole memory."""
    gates = torch.zeros(1, 16)
    gates[:, 4:8] = 100.0
    c = torch.randn(1, 4)
    _, after = LSTM.step(gates, torch.zeros(1, 16), (torch.zeros(1, 4), c), (), StepMasks(candidate=torch.zeros(1, 4)))
    torch.testing.assert_close(after, c)
