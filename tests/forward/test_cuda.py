"""What runs on an NVIDIA GPU: the type that was asked for, never silently another. Skipped where there is none."""

import itertools

import pytest
import torch

from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward.fused import Fused
from lstm_lm.forward.interface import Masks, StackSpec
from lstm_lm.models.recurrent_stack import RecurrentStack

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CUDA = torch.device("cuda")


def test_bfloat16_weights_are_refused_where_cudnn_has_no_kernel_for_them() -> None:
    spec = StackSpec(LSTM, 8, (8, 8))
    assert "bfloat16" in str(Fused().supports(spec, CUDA, torch.bfloat16))
    assert Fused().supports(spec, CUDA, torch.float16) is None
    assert Fused().supports(spec, torch.device("cpu"), torch.bfloat16) is None


@needs_gpu
@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize(
    ("asked", "computed", "tolerance"),
    [(torch.float16, torch.float16, 5e-3), (torch.bfloat16, torch.float32, 1e-2), (None, torch.float32, 1e-5)],
    ids=str,
)
def test_autocast_computes_what_it_says_and_agrees_with_float64(
    asked: torch.dtype | None, computed: torch.dtype, tolerance: float, dropout: bool
) -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(LSTM, 16, [16, 16], layer_dropout=dropout)
    x = torch.randn(9, 4, 16)
    masks = Masks((torch.rand(9, 4, 16).gt(0.4) / 0.6,)) if dropout else Masks()
    exact = RecurrentStack(LSTM, 16, [16, 16]).double()
    exact.load_state_dict(stack.state_dict())
    expected, after = exact(x.double(), exact.initial_state(4), Masks(tuple(m.double() for m in masks.between)))
    expected.sum().backward()

    stack.to(CUDA)
    on_gpu = Masks(tuple(mask.to(CUDA) for mask in masks.between))
    with torch.autocast("cuda", asked or torch.float16, enabled=asked is not None):
        y, state = stack(x.to(CUDA), stack.initial_state(4), on_gpu)
    y.float().sum().backward()
    assert y.dtype == computed
    pairs = [
        (y, expected),
        *zip(itertools.chain(*state), itertools.chain(*after), strict=True),
        *((mine.grad, other.grad) for mine, other in zip(stack.parameters(), exact.parameters(), strict=True)),
    ]
    for got, want in pairs:
        assert got is not None
        assert want is not None
        assert (got.double().cpu() - want).norm() <= tolerance * want.norm()


@needs_gpu
def test_weights_can_be_trained_after_they_were_laid_out_in_inference_mode() -> None:
    stack = RecurrentStack(LSTM, 8, [8]).to(CUDA)
    x = torch.randn(3, 2, 8, device=CUDA)
    with torch.inference_mode():
        stack(x, stack.initial_state(2))
    stack(x, stack.initial_state(2))[0].sum().backward()
    assert all(parameter.grad is not None for parameter in stack.parameters())
