"""An ONNX graph, written operator by operator: https://onnx.ai/onnx/operators says what each computes.

A value is known by its name. A model has the input `tokens` and the output `logits`, and for each part NAME of its
state the input NAME, all zeros before a text, and the output `next_NAME`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper
from torch import Tensor

from lstm_lm import __version__

OPSET = 17
"""The first with LayerNormalization: onnxruntime 1.12 (2022) reads it, and all since."""
IR_VERSION = 8
"""Of the same time."""
TIME, BATCH = "time", "batch"
"""What the dimensions are called that may have any size."""

Shape = Sequence[int | str]


class Graph:
    """Operators in the order in which they were added."""

    def __init__(self, prefix: str = "") -> None:
        """Begin with nothing; `prefix` keeps the names of a graph inside another one apart."""
        self._prefix = prefix
        self._count = 0
        self._nodes: list[NodeProto] = []
        self._weights: dict[str, TensorProto] = {}
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []

    def op(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Add an operator with one output."""
        (output,) = self.ops(kind, inputs, 1, **attributes)
        return output

    def ops(self, kind: str, inputs: Sequence[str], outputs: int, **attributes: object) -> list[str]:
        """Add an operator with several outputs."""
        self._count += 1
        names = [f"{self._prefix}{kind}_{self._count}_{place}" for place in range(outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def constant(self, values: npt.ArrayLike, kind: type[np.generic] = np.int64) -> str:
        """A value that is always the same."""
        self._count += 1
        return self._add(f"{self._prefix}constant_{self._count}", np.asarray(values, kind))

    def weight(self, name: str, tensor: Tensor) -> str:
        """A parameter, float32, under its own name; a second time the same one."""
        return name if name in self._weights else self._add(name, tensor.detach().float().numpy())

    def linear(self, x: str, weight: str, bias: str | None = None) -> str:
        """`x[..., I]` times a weight `[O, I]` -> `[..., O]`."""
        product = self.op("MatMul", x, self.op("Transpose", weight, perm=[1, 0]))
        return product if bias is None else self.op("Add", product, bias)

    def split(self, x: str, parts: int) -> list[str]:
        """The last dimension in equal parts."""
        return self.ops("Split", [x], parts, axis=-1)

    def arguments(self, name: str, shape: Shape, kind: type[np.generic] = np.float32) -> str:
        """An input."""
        self._inputs.append(_described(name, shape, kind))
        return name

    def result(
        self, name: str, value: str, shape: Shape, kind: type[np.generic] = np.float32, *, first: bool = False
    ) -> None:
        """An output: `value` under a name of its own, behind those that are there, or before them."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.insert(0 if first else len(self._outputs), _described(name, shape, kind))

    def proto(self, name: str) -> GraphProto:
        """The graph, to be part of another one."""
        return helper.make_graph(self._nodes, name, self._inputs, self._outputs, list(self._weights.values()))

    def model(self, name: str) -> ModelProto:
        """The graph as what a file holds."""
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_model(
            self.proto(name),
            producer_name="lstm-lm",
            producer_version=__version__,
            opset_imports=opsets,
            ir_version=IR_VERSION,
        )

    def _add(self, name: str, array: npt.NDArray[np.generic]) -> str:
        self._weights[name] = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
        return name


def _described(name: str, shape: Shape, kind: type[np.generic]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), list(shape))
