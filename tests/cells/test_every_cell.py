"""What every cell keeps to, whatever it computes: 16-bit products, batches of layers, one graph."""

import itertools

import pytest
import torch

from lstm_lm.cells.activations import ACTIVATIONS, GATE_ACTIVATIONS
from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell, StepMasks
from lstm_lm.cells.lstm import LSTM, lstm_cell
from lstm_lm.cells.rnn import RNN, rnn_cell

VARIANTS = [lstm_cell(*names, norm=norm) for *names, norm in itertools.product(ACTIVATIONS, GATE_ACTIVATIONS, (0, 1))]
CELLS = [*VARIANTS, GRU, RNN, rnn_cell("relu")]


def named(cell: Cell) -> str:
    return ",".join((cell.name, *cell.deviations))


def masks_of(cell: Cell, *shape: int) -> StepMasks:
    """Each kind of mask that the cell applies."""
    return StepMasks(**{name: torch.rand(shape) for name in cell.masks})


@pytest.mark.parametrize("cell", [LSTM, GRU, RNN], ids=named)
def test_sixteen_bit_products_are_summed_in_float32(cell: Cell) -> None:
    torch.manual_seed(0)
    from_input, from_hidden = torch.randn(2, 3, cell.gates * 4).bfloat16()
    state = tuple(torch.randn(cell.state_tensors, 3, 4))
    after = cell.step(from_input, from_hidden, state, (), StepMasks())
    assert len(after) == cell.state_tensors
    assert all(tensor.dtype == torch.float32 for tensor in after)


@pytest.mark.parametrize("cell", CELLS, ids=named)
@pytest.mark.parametrize("shared", [False, True])
def test_step_takes_a_batch_of_layers_at_once(cell: Cell, shared: bool) -> None:
    """With a mask for each number, or (`shared`) one for all streams alike."""
    torch.manual_seed(0)
    layers, batch, width = 3, 2, 4
    from_input, from_hidden = torch.randn(2, layers, batch, cell.gates * width)
    state = tuple(torch.randn(cell.state_tensors, layers, batch, width))
    extras = tuple(torch.randn(layers, 1, extra.multiple * width) for extra in cell.extras)
    masks = masks_of(cell, layers, 1 if shared else batch, width)
    together = cell.step(from_input, from_hidden, state, extras, masks)
    for layer in range(layers):
        alone = cell.step(
            from_input[layer],
            from_hidden[layer],
            tuple(tensor[layer] for tensor in state),
            tuple(extra[layer] for extra in extras),
            StepMasks(*(None if mask is None else mask[layer] for mask in masks)),
        )
        torch.testing.assert_close(tuple(tensor[layer] for tensor in together), alone)


@pytest.mark.parametrize("cell", [LSTM, lstm_cell("leaky_relu", "hard_sigmoid", norm=True), GRU, RNN], ids=named)
def test_a_step_is_one_graph(cell: Cell) -> None:
    """torch.compile captures it whole, masks and all."""
    shape = (2, 3, 4)
    extras = tuple(torch.ones(2, 1, extra.multiple * 4) for extra in cell.extras)
    from_input, from_hidden = torch.randn(2, 2, 3, cell.gates * 4)
    state = tuple(torch.randn(cell.state_tensors, *shape))
    masks = masks_of(cell, *shape)
    compiled = torch.compile(cell.step, backend="eager", fullgraph=True)
    expected = cell.step(from_input, from_hidden, state, extras, masks)
    torch.testing.assert_close(compiled(from_input, from_hidden, state, extras, masks), expected)


@pytest.mark.parametrize("cell", CELLS, ids=named)
def test_a_mask_of_each_kind_that_a_cell_names_takes_effect(cell: Cell) -> None:
    torch.manual_seed(0)
    from_input, from_hidden = torch.randn(2, 2, cell.gates * 4)
    from_input, from_hidden = from_input.unsqueeze(1), from_hidden.unsqueeze(1)
    state = tuple(torch.randn(cell.state_tensors, 2, 1, 4))
    extras = tuple(torch.randn(1, extra.multiple * 4) for extra in cell.extras)
    plain = cell.step(from_input, from_hidden, state, extras, StepMasks())
    for name in StepMasks._fields:
        masked = cell.step(from_input, from_hidden, state, extras, StepMasks(**{name: torch.full((1, 4), 0.5)}))
        same = all(map(torch.equal, masked, plain))
        assert same == (name not in cell.masks), name
