"""The GRU, read next to its equations."""

import pytest
import torch

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import StepMasks

BATCH, INPUTS, WIDTH = 3, 5, 4


def shares() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    from_input, from_hidden = torch.randn(2, BATCH, 3 * WIDTH, dtype=torch.float64)
    return from_input, from_hidden, torch.randn(BATCH, WIDTH, dtype=torch.float64)


def test_step_computes_the_published_equations() -> None:
    torch.manual_seed(0)
    x, h = (torch.randn(BATCH, size, dtype=torch.float64) for size in (INPUTS, WIDTH))
    w_ih, w_hh = (torch.randn(3 * WIDTH, size, dtype=torch.float64) for size in (INPUTS, WIDTH))
    b_ih, b_hh = (torch.randn(3 * WIDTH, dtype=torch.float64) for _ in range(2))
    w_ir, w_iz, w_in = w_ih.split(WIDTH)
    w_hr, w_hz, w_hn = w_hh.split(WIDTH)
    b_ir, b_iz, b_in = b_ih.split(WIDTH)
    b_hr, b_hz, b_hn = b_hh.split(WIDTH)

    r = torch.sigmoid(x @ w_ir.T + b_ir + h @ w_hr.T + b_hr)
    z = torch.sigmoid(x @ w_iz.T + b_iz + h @ w_hz.T + b_hz)
    n = torch.tanh(x @ w_in.T + b_in + r * (h @ w_hn.T + b_hn))
    h_next = (1 - z) * n + z * h

    (got,) = GRU.step(x @ w_ih.T + b_ih, h @ w_hh.T + b_hh, (h,), (), StepMasks())
    torch.testing.assert_close(got, h_next, rtol=1e-12, atol=1e-14)


def test_the_sum_of_both_shares_is_not_enough() -> None:
    """The reset gate acts on the hidden state's share of the candidate alone."""
    from_input, from_hidden, h = shares()
    (expected,) = GRU.step(from_input, from_hidden, (h,), (), StepMasks())
    (other,) = GRU.step(from_input + from_hidden, torch.zeros_like(from_hidden), (h,), (), StepMasks())
    assert not GRU.additive
    assert not torch.allclose(other, expected)


def test_recurrent_dropout_acts_on_the_candidate_and_forgets_nothing() -> None:
    """h' = (1 - z) * d(n) + z * h (Semeniuta et al., 2016)."""
    from_input, from_hidden, h = shares()
    mask = torch.tensor([0.0, 2.0, 0.0, 2.0], dtype=torch.float64)
    r_input, z_input, n_input = from_input.chunk(3, dim=-1)
    r_hidden, z_hidden, n_hidden = from_hidden.chunk(3, dim=-1)
    z = torch.sigmoid(z_input + z_hidden)
    n = torch.tanh(n_input + torch.sigmoid(r_input + r_hidden) * n_hidden)
    (got,) = GRU.step(from_input, from_hidden, (h,), (), StepMasks(candidate=mask))
    torch.testing.assert_close(got, (1 - z) * mask * n + z * h, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(got[:, 0], (z * h)[:, 0], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("stay", [0.0, 0.25, 1.0])
def test_zoneout_keeps_a_share_of_the_hidden_state(stay: float) -> None:
    from_input, from_hidden, h = shares()
    (plain,) = GRU.step(from_input, from_hidden, (h,), (), StepMasks())
    (got,) = GRU.step(from_input, from_hidden, (h,), (), StepMasks(hidden=torch.full((1, WIDTH), stay).double()))
    torch.testing.assert_close(got, stay * h + (1 - stay) * plain, rtol=1e-12, atol=1e-14)
