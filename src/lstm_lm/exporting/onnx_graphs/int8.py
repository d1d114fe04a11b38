"""Weights in eight bits: each row of a matrix as whole numbers from -127 to 127, and what one of them is worth.

In a graph they become float32 again by Cast and Mul, of constants alone: onnxruntime does that once, as it loads the
graph, and so the arithmetic, and the speed, stay those of float32.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import nn

LARGEST = 127


class _Rows(NamedTuple):
    """A matrix."""

    values: npt.NDArray[np.int8]
    """As the matrix."""
    scale: npt.NDArray[np.float32]
    """What they are multiplied with: the same, but for a last dimension of 1."""


def round_weights(model: nn.Module) -> None:
    """Round, in place, every parameter that is a matrix; vectors stay as they are."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                rows = _rows(parameter.numpy())
                parameter.copy_(torch.from_numpy(rows.values * rows.scale))


def store_in_int8(model: ModelProto) -> None:
    """Store a graph's matrices, of a model that was rounded, in eight bits."""
    graph = model.graph
    stored, first = [], []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) < 2:
            stored.append(tensor)
            continue
        name, rows = tensor.name, _rows(numpy_helper.to_array(tensor))
        stored += [
            numpy_helper.from_array(rows.values, f"{name}.int8"),
            numpy_helper.from_array(rows.scale, f"{name}.scale"),
        ]
        first += [
            helper.make_node("Cast", [f"{name}.int8"], [f"{name}.float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", [f"{name}.float", f"{name}.scale"], [name]),
        ]
    nodes = [*first, *graph.node]
    for field, items in ((graph.initializer, stored), (graph.node, nodes)):
        copies = [type(item).FromString(item.SerializeToString()) for item in items]
        del field[:]
        field.extend(copies)


def _rows(matrix: npt.NDArray[np.float32]) -> _Rows:
    """A row of zeros has the scale 1."""
    scale = np.abs(matrix).max(axis=-1, keepdims=True) / np.float32(LARGEST)
    scale[scale == 0] = 1
    return _Rows(np.rint(matrix / scale).astype(np.int8), scale.astype(np.float32))
