"""When cuDNN takes its persistent kernel: PyTorch's conditions, as a table."""

import pytest
import torch

from lstm_lm.cells.gru import GRU
from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.cells.rnn import RNN
from lstm_lm.forward.interface import StackSpec
from lstm_lm.forward.vendor_limits import in_one_call, persistent_limit

FLOAT16, FLOAT32, FLOAT64 = torch.float16, torch.float32, torch.float64
AMPERE, A40, HOPPER, VOLTA, TURING = (8, 0), (8, 6), (9, 0), (7, 0), (7, 5)


def spec(*widths: int, inputs: int = 128, dropout: bool = False, cell: Cell = LSTM) -> StackSpec:
    return StackSpec(cell, inputs, widths, layer_dropout=dropout)


@pytest.mark.parametrize(
    ("stack", "batch", "dtype", "capability", "limit"),
    [
        (spec(256), 64, FLOAT16, AMPERE, None),
        (spec(1024), 8, FLOAT16, HOPPER, None),
        (spec(256, 256, dropout=True), 64, FLOAT16, HOPPER, None),
        (spec(256, 512), 64, FLOAT16, HOPPER, None),
        (spec(256), 128, FLOAT16, HOPPER, None),
        (spec(256), 64, FLOAT32, HOPPER, "float32 products"),
        (spec(256, 256), 64, FLOAT16, HOPPER, "num_layers=2 in one call"),
        (spec(200), 64, FLOAT16, HOPPER, "hidden_size=200"),
        (spec(1152), 64, FLOAT16, HOPPER, "hidden_size=1152"),
        (spec(256, inputs=100), 64, FLOAT16, HOPPER, "embedding_size=100"),
        (spec(256), 20, FLOAT16, HOPPER, "batch_size=20"),
        (spec(256), 136, FLOAT16, HOPPER, "batch_size=136"),
        (spec(256), 64, FLOAT16, A40, "compute capability 8.6"),
        (spec(256), 64, FLOAT16, VOLTA, "compute capability 7.0"),
        (spec(256), 64, FLOAT16, TURING, "compute capability 7.5"),
        # the other persistent kernel, for small H
        (spec(128, 128), 20, FLOAT32, HOPPER, None),
        (spec(64, 64, inputs=10), 33, FLOAT16, A40, None),
        (spec(129), 64, FLOAT16, HOPPER, "hidden_size=129"),
        (spec(128), 64, FLOAT64, HOPPER, "float64 products"),
        # other cells
        (spec(128, cell=GRU), 64, FLOAT16, HOPPER, None),
        (spec(256, cell=GRU), 64, FLOAT16, HOPPER, "a GRU wider than 128"),
        (spec(256, cell=RNN), 33, FLOAT32, A40, None),
        (spec(512, cell=RNN), 128, FLOAT16, HOPPER, None),
        (spec(1024, cell=RNN), 88, FLOAT16, HOPPER, None),
        (spec(1024, cell=RNN), 96, FLOAT16, HOPPER, "batch_size=96 (less than 96 from hidden_size=896 on)"),
        (spec(384, cell=RNN), 20, FLOAT16, HOPPER, "batch_size=20"),
    ],
)
def test_what_does_not_hold_is_named(
    stack: StackSpec, batch: int, dtype: torch.dtype, capability: tuple[int, int], limit: str | None
) -> None:
    found = persistent_limit(stack, batch, dtype, capability)
    if limit is None:
        assert found is None
    else:
        assert found is not None
        assert limit in found
        assert ", " not in found.replace(", at most", ""), "nothing else is named"


def test_everything_that_does_not_hold_is_named() -> None:
    found = str(persistent_limit(spec(200, 200, inputs=100), 20, FLOAT32, HOPPER))
    for name in ("float32", "num_layers=2", "hidden_size=200", "embedding_size=100", "batch_size=20"):
        assert name in found


def test_layers_of_unequal_width_or_with_dropout_between_are_calls_of_their_own() -> None:
    assert in_one_call(spec(8, 8))
    assert not in_one_call(spec(8, 8, dropout=True))
    assert not in_one_call(spec(8, 4))
