"""Lay a stack's parameters out as cuDNN wants them, so that it need not copy them on every call.

cuDNN takes all weights of one call as one block of memory. torch.nn.LSTM's `flatten_parameters` does this for a whole
stack; here a stack may also run layer by layer, which needs one block a layer.

Weights that are made anew for every window (weight drop) are copied to the same places in blocks of their own: PyTorch
asks whether the weights lie, from the start of the first one's storage on, where cuDNN expects them
(`try_get_weight_buf` in aten/src/ATen/native/cudnn/RNN.cpp), not whether they are parameters.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lstm_lm.forward.interface import LayerWeights, Stack
from lstm_lm.forward.vendor import VENDORS


def lay_out(stack: Stack, *, whole: bool) -> None:
    """Move the parameters into one block (`whole`), or into one block a layer; nothing to do where they lie so already.

    The parameters stay the same `Parameter` objects, so an optimizer keeps them. Under autocast cuDNN's half-precision
    copies are laid out by PyTorch itself. Never in inference mode: its tensors could not be trained again.
    """
    layout = "whole" if whole else "layers"
    spec = stack.spec
    if stack.vendor_layout == layout or spec.cell.name not in VENDORS:
        return
    stack.vendor_layout = layout
    layers = list(stack.layers())
    weight = layers[0].weight_hh
    if not torch.backends.cudnn.is_acceptable(weight):  # type: ignore[no-untyped-call]
        return
    with torch.cuda.device(weight.device), torch.inference_mode(False), torch.no_grad():
        if whole:
            flatten(spec.cell.name, [tensor for weights in layers for tensor in weights], len(layers))
            return
        for weights in layers:
            flatten(spec.cell.name, list(weights), 1)


def flatten(cell: str, tensors: list[Tensor], num_layers: int) -> None:
    """All parameters of some layers of one width, of the vendor's `cell`; one direction, no projection."""
    (_, inputs), (_, width) = tensors[0].shape, tensors[1].shape
    torch._cudnn_rnn_flatten_weight(
        tensors, len(LayerWeights._fields), inputs, VENDORS[cell].mode, width, 0, num_layers, False, False
    )


def laid_out_like(tensors: Sequence[Tensor], pattern: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Copies of `tensors` that lie in memory as those of `pattern` do: the same offsets in as many new blocks.

    Gradients pass. Each of `tensors` has the shape, type and device of its counterpart.
    """
    copies: tuple[Tensor, ...] = _LaidOutLike.apply([tensor.detach() for tensor in pattern], *tensors)  # type: ignore[no-untyped-call]
    return copies


class _LaidOutLike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, pattern: list[Tensor], *tensors: Tensor) -> tuple[Tensor, ...]:  # noqa: ARG004
        blocks: dict[int, Tensor] = {}
        copies = []
        for tensor, place in zip(tensors, pattern, strict=True):
            storage = place.untyped_storage()
            if storage.data_ptr() not in blocks:
                # zeros: between the weights lie a few bytes of padding that cuDNN reads
                blocks[storage.data_ptr()] = place.new_zeros(storage.nbytes() // place.element_size())
            block = blocks[storage.data_ptr()].untyped_storage()
            # not a view of the block, for autograd: each copy is a result by itself
            copy = place.new_empty(0).set_(block, place.storage_offset(), place.shape, place.stride())
            copies.append(copy.copy_(tensor))
        return tuple(copies)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ARG004
        return None, *gradients
