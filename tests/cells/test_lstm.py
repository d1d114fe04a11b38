"""The LSTM cell, read next to its equations."""

import torch
from torch import Tensor

from lstm_lm.cells.interface import StepMasks
from lstm_lm.cells.lstm import LSTM


def gate(rows: slice, x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> Tensor:
    """W_i x + b_i + W_h h + b_h for one gate's rows."""
    return x @ w_ih[rows].T + b_ih[rows] + h @ w_hh[rows].T + b_hh[rows]


def test_step_computes_the_published_equations() -> None:
    torch.manual_seed(0)
    batch, inputs, width = 3, 5, 4
    x, h, c = (torch.randn(batch, size, dtype=torch.float64) for size in (inputs, width, width))
    w_ih, w_hh = (torch.randn(4 * width, size, dtype=torch.float64) for size in (inputs, width))
    b_ih, b_hh = (torch.randn(4 * width, dtype=torch.float64) for _ in range(2))
    in_rows, forget_rows, candidate_rows, out_rows = (slice(k * width, (k + 1) * width) for k in range(4))

    i = torch.sigmoid(gate(in_rows, x, h, w_ih, w_hh, b_ih, b_hh))
    f = torch.sigmoid(gate(forget_rows, x, h, w_ih, w_hh, b_ih, b_hh))
    g = torch.tanh(gate(candidate_rows, x, h, w_ih, w_hh, b_ih, b_hh))
    o = torch.sigmoid(gate(out_rows, x, h, w_ih, w_hh, b_ih, b_hh))
    c_next = f * c + i * g
    h_next = o * torch.tanh(c_next)

    got_h, got_c = LSTM.step(x @ w_ih.T + b_ih, h @ w_hh.T + b_hh, (h, c), (), StepMasks())
    torch.testing.assert_close(got_c, c_next, rtol=1e-12, atol=0)
    torch.testing.assert_close(got_h, h_next, rtol=1e-12, atol=0)


def test_step_takes_a_batch_of_layers_at_once() -> None:
    torch.manual_seed(0)
    layers, batch, width = 3, 2, 4
    from_input, from_hidden = torch.randn(2, layers, batch, 4 * width)
    h, c = torch.randn(2, layers, batch, width)
    together = LSTM.step(from_input, from_hidden, (h, c), (), StepMasks())
    for layer in range(layers):
        alone = LSTM.step(from_input[layer], from_hidden[layer], (h[layer], c[layer]), (), StepMasks())
        torch.testing.assert_close((together[0][layer], together[1][layer]), alone)
