"""The parameters of a stack: names, layout and numbers of torch.nn.LSTM, GRU and RNN."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import RNN, rnn_cell
from lstm_lm.models.recurrent_stack import RecurrentStack

PLAIN: dict[str, tuple[Cell, Callable[..., nn.RNNBase]]] = {
    "lstm": (LSTM, nn.LSTM),
    "gru": (GRU, nn.GRU),
    "rnn": (RNN, nn.RNN),
    "rnn relu": (rnn_cell("relu"), partial(nn.RNN, nonlinearity="relu")),
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_modules_state_dict_loads_and_gives_its_outputs(name: str) -> None:
    torch.manual_seed(0)
    cell, make = PLAIN[name]
    module = make(5, 7, num_layers=3)
    stack = RecurrentStack(cell, 5, [7, 7, 7])
    stack.load_state_dict(module.state_dict())
    x = torch.randn(6, 2, 5)
    expected, after = module(x)
    y, state = stack(x, stack.initial_state(2))
    torch.testing.assert_close(y, expected)
    stacked = tuple(torch.stack(tensors) for tensors in zip(*state, strict=True))
    torch.testing.assert_close(stacked, after if isinstance(after, tuple) else (after,))


@pytest.mark.parametrize("name", PLAIN)
def test_its_state_dict_loads_into_a_plain_module(name: str) -> None:
    cell, make = PLAIN[name]
    make(5, 7, num_layers=2).load_state_dict(RecurrentStack(cell, 5, [7, 7]).state_dict())


def test_recurrent_weights_start_orthogonal_for_each_gate() -> None:
    stack = RecurrentStack(LSTM, 5, [6, 4])
    for weights in stack.layers():
        for block in weights.weight_hh.chunk(4):
            torch.testing.assert_close(block @ block.T, torch.eye(block.shape[0]), atol=1e-5, rtol=0)


def test_uniform_initialisation_is_within_torchs_bound() -> None:
    stack = RecurrentStack(LSTM, 5, [16])
    stack.reset_parameters_uniform()
    largest = max(float(parameter.detach().abs().max()) for parameter in stack.parameters())
    assert 0.9 * 16**-0.5 < largest <= 16**-0.5


def test_initial_state_has_each_layers_width_and_the_parameters_type() -> None:
    stack = RecurrentStack(LSTM, 5, [6, 4]).double()
    state = stack.initial_state(3)
    assert [[tuple(t.shape) for t in layer] for layer in state] == [[(3, 6), (3, 6)], [(3, 4), (3, 4)]]
    assert all(tensor.dtype == torch.float64 and not tensor.any() for layer in state for tensor in layer)


def test_moving_the_parameters_forgets_the_vendors_layout() -> None:
    stack = RecurrentStack(LSTM, 5, [6])
    stack.vendor_layout = "whole"
    stack.to(torch.float64)
    assert stack.vendor_layout is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dropout", [False, True])
def test_cudnn_gets_one_block_and_does_not_warn(dropout: bool) -> None:
    from lstm_lm.forward.interface import Masks

    stack = RecurrentStack(LSTM, 8, [8, 8]).cuda()
    x = torch.randn(5, 3, 8, device="cuda")
    masks = Masks((torch.ones(5, 3, 8, device="cuda"),)) if dropout else Masks()
    stack(x, stack.initial_state(3), masks)  # pytest turns cuDNN's warning into an error
    assert stack.vendor_layout == ("layers" if dropout else "whole")
