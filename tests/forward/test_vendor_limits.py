"""When cuDNN takes its persistent kernel: PyTorch's conditions, as a table."""

import pytest
import torch

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import RNN
from lstm_lm.forward.interface import StackSpec
from lstm_lm.forward.vendor_limits import in_one_call, is_persistent

FLOAT16, FLOAT32, FLOAT64 = torch.float16, torch.float32, torch.float64
AMPERE, A40, HOPPER, VOLTA, TURING = (8, 0), (8, 6), (9, 0), (7, 0), (7, 5)


def spec(*widths: int, inputs: int = 128, dropout: bool = False, cell: Cell = LSTM) -> StackSpec:
    return StackSpec(cell, inputs, widths, layer_dropout=dropout)


@pytest.mark.parametrize(
    ("stack", "batch", "dtype", "capability", "persistent"),
    [
        (spec(256), 64, FLOAT16, AMPERE, True),
        (spec(1024), 8, FLOAT16, HOPPER, True),
        (spec(256, 256, dropout=True), 64, FLOAT16, HOPPER, True),
        (spec(256, 512), 64, FLOAT16, HOPPER, True),
        (spec(256), 128, FLOAT16, HOPPER, True),
        (spec(256), 64, FLOAT32, HOPPER, False),
        (spec(256, 256), 64, FLOAT16, HOPPER, False),
        (spec(200), 64, FLOAT16, HOPPER, False),
        (spec(1152), 64, FLOAT16, HOPPER, False),
        (spec(256, inputs=100), 64, FLOAT16, HOPPER, False),
        (spec(256), 20, FLOAT16, HOPPER, False),
        (spec(256), 136, FLOAT16, HOPPER, False),
        (spec(256), 64, FLOAT16, A40, False),
        (spec(256), 64, FLOAT16, VOLTA, False),
        (spec(256), 64, FLOAT16, TURING, False),
        # the other persistent kernel, for small H
        (spec(128, 128), 20, FLOAT32, HOPPER, True),
        (spec(64, 64, inputs=10), 33, FLOAT16, A40, True),
        (spec(129), 64, FLOAT16, HOPPER, False),
        (spec(128), 64, FLOAT64, HOPPER, False),
        # other cells
        (spec(128, cell=GRU), 64, FLOAT16, HOPPER, True),
        (spec(256, cell=GRU), 64, FLOAT16, HOPPER, False),
        (spec(256, cell=RNN), 33, FLOAT32, A40, True),
        (spec(512, cell=RNN), 128, FLOAT16, HOPPER, True),
        (spec(1024, cell=RNN), 88, FLOAT16, HOPPER, True),
        (spec(1024, cell=RNN), 96, FLOAT16, HOPPER, False),
        (spec(384, cell=RNN), 20, FLOAT16, HOPPER, False),
    ],
)
def test_a_stack_is_persistent_only_where_every_condition_holds(
    stack: StackSpec, batch: int, dtype: torch.dtype, capability: tuple[int, int], persistent: bool
) -> None:
    assert is_persistent(stack, batch, dtype, capability) is persistent


def test_layers_of_unequal_width_or_with_dropout_between_are_calls_of_their_own() -> None:
    assert in_one_call(spec(8, 8))
    assert not in_one_call(spec(8, 8, dropout=True))
    assert not in_one_call(spec(8, 4))
