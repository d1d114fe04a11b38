"""Zoneout, next to its equations."""

import torch

from lstm_lm.cells.interface import StepMasks
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.zoneout import zone_out


def test_without_a_mask_the_new_state_replaces_the_old() -> None:
    old, new = torch.randn(2, 3, 4)
    assert zone_out(old, new, None) is new


def test_a_number_stays_or_is_replaced() -> None:
    old, new = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    assert zone_out(old, new, torch.tensor([1.0, 0.0])).tolist() == [1.0, 4.0]


def test_an_expectation_mixes_both() -> None:
    assert zone_out(torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([0.25])).item() == 0.25 * 1 + 0.75 * 3


def test_the_hidden_state_reads_the_cell_state_before_zoneout() -> None:
    torch.manual_seed(0)
    from_input, from_hidden = torch.randn(2, 3, 16, dtype=torch.float64)
    h, c = torch.randn(2, 3, 4, dtype=torch.float64)
    stay_h, stay_c = (torch.rand(2, 3, 4) < 0.5).double()
    i, f, g, o = (from_input + from_hidden).chunk(4, dim=-1)
    updated = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h_next = stay_h * h + (1 - stay_h) * (torch.sigmoid(o) * torch.tanh(updated))
    c_next = stay_c * c + (1 - stay_c) * updated
    got = LSTM.step(from_input, from_hidden, (h, c), (), StepMasks(hidden=stay_h, cell=stay_c))
    torch.testing.assert_close(got, (h_next, c_next), rtol=1e-12, atol=0)
