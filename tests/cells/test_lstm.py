"""The LSTM cell and its variants, read next to their equations."""

import pytest
import torch
from torch import Tensor

from lstm_lm.cells.activations import ACTIVATIONS, GATE_ACTIVATIONS
from lstm_lm.cells.interface import StepMasks
from lstm_lm.cells.lstm import LSTM, lstm_cell


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


def test_a_cell_without_settings_is_the_plain_one() -> None:
    assert lstm_cell() is LSTM
    assert lstm_cell("tanh", "sigmoid", norm=False) is LSTM
    assert LSTM.deviations == ()
    assert LSTM.extras == ()


def test_deviations_are_named_as_they_are_typed() -> None:
    cell = lstm_cell("relu", "hard_sigmoid", norm=True)
    assert cell.deviations == ("activation=relu", "gate_activation=hard_sigmoid", "layer_norm=true")


def test_a_variant_is_one_object_however_often_it_is_asked_for() -> None:
    """What was compiled for it is found again."""
    assert lstm_cell("relu", norm=True) is lstm_cell("relu", norm=True)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("gate_activation", GATE_ACTIVATIONS)
def test_activations_take_the_places_of_tanh_and_sigmoid(activation: str, gate_activation: str) -> None:
    torch.manual_seed(0)
    from_input, from_hidden = torch.randn(2, 3, 16, dtype=torch.float64)
    h, c = torch.randn(2, 3, 4, dtype=torch.float64)
    act, gate_act = ACTIVATIONS[activation], GATE_ACTIVATIONS[gate_activation]
    i, f, g, o = (from_input + from_hidden).chunk(4, dim=-1)
    c_next = gate_act(f) * c + gate_act(i) * act(g)
    h_next = gate_act(o) * act(c_next)
    got = lstm_cell(activation, gate_activation).step(from_input, from_hidden, (h, c), (), StepMasks())
    torch.testing.assert_close(got, (h_next, c_next), rtol=1e-12, atol=0)


def test_layer_norm_computes_the_published_equations() -> None:
    """(f, i, o, g) = LN(W_h h; a1, b1) + LN(W_x x; a2, b2) + b, c' as ever, h' reads LN(c'; a3, b3)."""
    torch.manual_seed(0)
    batch, inputs, width = 3, 5, 4
    x, h, c = (torch.randn(batch, size, dtype=torch.float64) for size in (inputs, width, width))
    w_ih, w_hh = (torch.randn(4 * width, size, dtype=torch.float64) for size in (inputs, width))
    bias_ih, bias_hh, gain_ih, gain_hh = torch.randn(4, 4 * width, dtype=torch.float64)
    gain_c, bias_c = torch.randn(2, width, dtype=torch.float64)

    def normalised(a: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
        return gain * (a - a.mean(-1, keepdim=True)) / (a.var(-1, keepdim=True, correction=0) + 1e-5).sqrt() + bias

    sums = normalised(x @ w_ih.T, gain_ih, bias_ih) + normalised(h @ w_hh.T, gain_hh, bias_hh)
    i, f, g, o = sums.chunk(4, dim=-1)
    c_next = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    h_next = torch.sigmoid(o) * torch.tanh(normalised(c_next, gain_c, bias_c))

    extras = (bias_ih, bias_hh, gain_ih, gain_hh, gain_c, bias_c)
    cell = lstm_cell(norm=True)
    got = cell.step(x @ w_ih.T, h @ w_hh.T, (h, c), extras, StepMasks())
    torch.testing.assert_close(got, (h_next, c_next), rtol=1e-11, atol=1e-12)
    assert [len(extra) for extra in extras] == [extra.multiple * width for extra in cell.extras]
