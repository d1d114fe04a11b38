"""Lay a stack's parameters out as cuDNN wants them, so that it need not copy them on every call.

cuDNN takes all weights of one call as one block of memory. torch.nn.LSTM's `flatten_parameters` does this for a whole
stack; here a stack may also run layer by layer, which needs one block a layer.

Weights that are made for every window (weight drop) are copied to the same places in blocks of their own: PyTorch
asks whether the weights lie, from the start of the first one's storage on, where cuDNN expects them
(`try_get_weight_buf` in aten/src/ATen/native/cudnn/RNN.cpp), not whether they are parameters.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lstm_lm.cells.interface import Cell
from lstm_lm.forward import trials
from lstm_lm.forward.interface import Stack
from lstm_lm.forward.vendor import flatten


def lay_out(stack: Stack, *, whole: bool) -> None:
    """Move the parameters into one block (`whole`), or into one block a layer; nothing to do where they lie so already.

    The parameters stay the same `Parameter` objects, so an optimizer keeps them. Copies in another type, made for a
    window, are laid out where they are made.
    """
    layout = "whole" if whole else "layers"
    spec = stack.spec
    if stack.vendor_layout == layout:
        return
    stack.vendor_layout = layout
    layers = list(stack.layers())
    weight = layers[0].weight_hh
    if not takes_one_block(spec.cell, weight):
        return
    if whole:
        flatten(spec.cell.name, [tensor for weights in layers for tensor in weights], len(layers))
        return
    for weights in layers:
        flatten(spec.cell.name, list(weights), 1)


def takes_one_block(cell: Cell, weight: Tensor) -> bool:
    """Whether a call's weights must lie in one block: cuDNN wants that, ROCm's MIOpen raises at it."""
    return weight.is_cuda and trials.run_once(cell, weight.device, weight.dtype).kernel == "cuDNN"


def cast_in_one_block(cell: Cell, weights: Sequence[Tensor], dtype: torch.dtype, num_layers: int) -> Sequence[Tensor]:
    """The weights of a call in `dtype`, those that are of another type as copies that lie as cuDNN wants them.

    Gradients pass, each in the type of what it is the gradient of.
    """
    if weights[0].dtype == dtype:
        return weights
    copies: Sequence[Tensor] = _CastInOneBlock.apply(cell, dtype, num_layers, *weights)  # type: ignore[no-untyped-call]
    return copies


class _CastInOneBlock(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cell: Cell, dtype: torch.dtype, num_layers: int, *weights: Tensor) -> tuple[Tensor, ...]:
        ctx.types = [weight.dtype for weight in weights]
        copies = [weight.to(dtype) for weight in weights]
        if takes_one_block(cell, copies[0]):
            flatten(cell.name, copies, num_layers)
        return tuple(copies)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, None, *(given.to(kind) for given, kind in zip(gradients, ctx.types, strict=True))


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
