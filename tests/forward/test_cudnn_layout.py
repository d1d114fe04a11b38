"""Where a window's own weights lie in memory: as the parameters do, in blocks of their own."""

import pytest
import torch
from torch import Tensor

from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward.cudnn_layout import laid_out_like
from lstm_lm.forward.interface import Masks
from lstm_lm.models.recurrent_stack import RecurrentStack

SHAPES = [(8, 3), (8, 2), (8,), (8,)]


def in_one_block(padding: int) -> list[Tensor]:
    """Tensors in the block in another order than their own, with `padding` numbers between them: as a library might."""
    sizes = [torch.Size(shape).numel() for shape in SHAPES]
    block = torch.randn(sum(sizes) + padding * len(sizes))
    places, offset = [], 0
    for shape, size in zip(reversed(SHAPES), reversed(sizes), strict=True):
        places.append(block[offset : offset + size].view(shape))
        offset += size + padding
    return places[::-1]


@pytest.mark.parametrize("padding", [0, 5])
def test_copies_lie_as_their_pattern_does(padding: int) -> None:
    pattern = [*in_one_block(padding), *in_one_block(padding)]
    tensors = [torch.randn(place.shape) for place in pattern]
    copies = laid_out_like(tensors, pattern)
    for copy, tensor, place in zip(copies, tensors, pattern, strict=True):
        assert torch.equal(copy, tensor)
        assert copy.storage_offset() == place.storage_offset()
        assert copy.untyped_storage().nbytes() == place.untyped_storage().nbytes()
    first, second = ({copy.untyped_storage().data_ptr() for copy in half} for half in (copies[:4], copies[4:]))
    assert len(first) == len(second) == 1, "a block for each of the pattern's"
    taken = {place.untyped_storage().data_ptr() for place in pattern}
    assert len(first | second | taken) == 4, "blocks of their own"


def test_gradients_pass() -> None:
    pattern = [place.double() for place in in_one_block(1)]
    tensors = [torch.randn(place.shape, dtype=torch.float64, requires_grad=True) for place in pattern]
    assert torch.autograd.gradcheck(lambda *given: laid_out_like([t * t for t in given], pattern), tensors)


def test_the_vendors_kernel_takes_them_and_gives_their_gradients() -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(LSTM, 3, [2]).double()
    x, (h, c) = torch.randn(4, 2, 3, dtype=torch.float64), torch.zeros(2, 1, 2, 2, dtype=torch.float64)
    block = [place.double() for place in in_one_block(0)]
    gradients = []
    for weights in (stack.flat_weights(), list(laid_out_like(stack.flat_weights(), block))):
        stack.zero_grad()
        torch.lstm(x, (h, c), weights, True, 1, 0.0, True, False, False)[0].square().sum().backward()
        gradients.append([parameter.grad for parameter in stack.parameters()])
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_cudnn_takes_dropped_weights_without_a_warning(dropout: bool, dtype: torch.dtype) -> None:
    stack = RecurrentStack(LSTM, 8, [8, 8], layer_dropout=dropout).to("cuda", dtype)
    x = torch.randn(5, 3, 8, device="cuda", dtype=dtype)
    masks = Masks((torch.ones(5, 3, 8, device="cuda", dtype=dtype),)) if dropout else Masks()
    dropped = [torch.rand(32, 8, device="cuda").gt(0.5).to(dtype) * 2 for _ in range(2)]
    for _ in range(2):  # pytest turns cuDNN's warning into an error
        stack(x, stack.initial_state(3), masks, dropped)[0].sum().backward()
    assert stack.vendor_layout == ("layers" if dropout else "whole")
    for weights, mask in zip(stack.layers(), dropped, strict=True):
        assert weights.weight_hh.grad is not None
        assert not weights.weight_hh.grad[mask == 0].any()
