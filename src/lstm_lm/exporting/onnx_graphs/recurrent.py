"""Recurrent models: the cells that ONNX has are its operators, other cells a step that Scan repeats.

ONNX's LSTM has the gates in the order i, o, f, g (it calls g c), its GRU z, r, n (it calls n h).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from onnx import GraphProto
from torch import Tensor

from lstm_lm.exporting.onnx_graphs.graph import BATCH, Graph
from lstm_lm.forward.interface import LayerWeights
from lstm_lm.models.backbones.lstm import LSTMOptions
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel

EPSILON = 1e-5
"""`lstm_lm.cells.layer_norm`'s."""
STATE = ("h", "c")
"""What the tensors of a layer's state are called; the layer's number follows."""


class _Operator(NamedTuple):
    """An operator of ONNX."""

    kind: str
    order: tuple[int, ...]
    """Which of torch's gates comes where."""
    attributes: Mapping[str, object]


OPERATORS = {
    "lstm": _Operator("LSTM", (0, 3, 1, 2), {}),
    "gru": _Operator("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    "rnn_tanh": _Operator("RNN", (0,), {"activations": ["Tanh"]}),
    "rnn_relu": _Operator("RNN", (0,), {"activations": ["Relu"]}),
}
"""By the names of cells."""
ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, float]]] = {
    "tanh": ("Tanh", {}),
    "relu": ("Relu", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}),
    "sigmoid": ("Sigmoid", {}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
}
"""By the names in `lstm_lm.cells.activations`."""


def why_not(model: RecurrentLanguageModel) -> str | None:
    """None where there is a graph for the model's cell, else the cell's name."""
    return None if model.cell.name in OPERATORS else model.cell.name


def add(graph: Graph, model: RecurrentLanguageModel, tokens: str) -> str:
    """Add the model, which reads `tokens[T, B]`; gives the name of `logits[T, B, V]`."""
    operator = OPERATORS[model.cell.name]
    embedding = graph.weight("embedding.weight", model.embedding.weight)
    x = graph.op("Gather", embedding, tokens, axis=0)
    layers = zip(model.options.hidden_sizes, model.stack.layer_parameters(), strict=True)
    for index, (width, weights) in enumerate(layers):
        names = [f"{name}_{index}" for name in STATE[: model.cell.state_tensors]]
        state = [graph.arguments(name, (BATCH, width)) for name in names]
        if model.spec_for(training=False).deviations:
            x, after = _scanned(graph, model, index, width, x, state)
        else:
            x, after = _operated(graph, operator, weights, index, width, x, state)
        for name, value in zip(names, after, strict=True):
            graph.result(f"next_{name}", value, (BATCH, width))
    head = embedding if model.options.tie_weights else graph.weight("head.weight", model.head.weight)
    return graph.linear(x, head, graph.weight("head.bias", model.head.bias))


def _operated(
    graph: Graph, operator: _Operator, weights: LayerWeights, index: int, width: int, x: str, state: list[str]
) -> tuple[str, list[str]]:
    """A layer as one operator: `y[T, B, H]`, and the state after it."""

    def ordered(tensor: Tensor) -> Tensor:
        gates = tensor.chunk(len(operator.order))
        return torch.cat([gates[place] for place in operator.order])

    first = graph.constant([0])
    biases = torch.cat([ordered(weights.bias_ih), ordered(weights.bias_hh)])
    parameters = [
        graph.weight(f"weight_ih_l{index}", ordered(weights.weight_ih).unsqueeze(0)),
        graph.weight(f"weight_hh_l{index}", ordered(weights.weight_hh).unsqueeze(0)),
        graph.op("Unsqueeze", graph.weight(f"bias_l{index}", biases), first),
    ]
    before = [graph.op("Unsqueeze", tensor, first) for tensor in state]
    y, *after = graph.ops(
        operator.kind, [x, *parameters, "", *before], 1 + len(state), hidden_size=width, **operator.attributes
    )
    return graph.op("Squeeze", y, graph.constant([1])), [graph.op("Squeeze", tensor, first) for tensor in after]


def _scanned(
    graph: Graph, model: RecurrentLanguageModel, index: int, width: int, x: str, state: list[str]
) -> tuple[str, list[str]]:
    """A layer as a step that is repeated; the products with its input are one for all steps."""
    end = f"_l{index}"
    named = [(name, tensor) for name, tensor in model.stack.named_parameters() if name.endswith(end)]
    parameters = {name.removesuffix(end): graph.weight(name, tensor) for name, tensor in named}
    norm = "gain_ih" in parameters
    from_input = graph.linear(x, parameters["weight_ih"], None if norm else parameters["bias_ih"])
    body = _step(model, f"layer_{index}_", width, parameters, norm=norm)
    *after, y = graph.ops("Scan", [*state, from_input], len(state) + 1, body=body, num_scan_inputs=1)
    return y, after


def _step(
    model: RecurrentLanguageModel, prefix: str, width: int, parameters: Mapping[str, str], *, norm: bool
) -> GraphProto:
    """What Scan repeats: the state and the input's share of the gates -> the state and the output."""
    graph, inside = Graph(prefix), model.options.inside
    cell = model.cell
    state = [graph.arguments(f"{prefix}{name}", (BATCH, width)) for name in STATE[: cell.state_tensors]]
    from_input = graph.arguments(f"{prefix}input", (BATCH, cell.gates * width))
    from_hidden = graph.linear(state[0], parameters["weight_hh"], None if norm else parameters["bias_hh"])
    if cell.name == "lstm":
        new = _lstm(graph, model, from_input, from_hidden, state, parameters, norm=norm)
    elif cell.name == "gru":
        new = _gru(graph, from_input, from_hidden, state)
    else:
        new = [_activated(graph, cell.name.removeprefix("rnn_"), graph.op("Add", from_input, from_hidden))]
    shares = (inside.zoneout_hidden, inside.zoneout_cell)
    new = [_zoned_out(graph, old, now, stay) for old, now, stay in zip(state, new, shares, strict=False)]
    for name, value in zip((*STATE[: len(new)], "output"), (*new, new[0]), strict=True):
        graph.result(f"{prefix}next_{name}", value, (BATCH, width))
    return graph.proto(f"{prefix}step")


def _lstm(
    graph: Graph,
    model: RecurrentLanguageModel,
    from_input: str,
    from_hidden: str,
    state: list[str],
    parameters: Mapping[str, str],
    *,
    norm: bool,
) -> list[str]:
    """`lstm_lm.cells.lstm`: h and c."""

    def normed(value: str, place: str) -> str:
        if not norm:
            return value
        gain, bias = parameters[f"gain_{place}"], parameters[f"bias_{place}"]
        return graph.op("LayerNormalization", value, gain, bias, axis=-1, epsilon=EPSILON)

    assert isinstance(model.options, LSTMOptions)
    activation, gate = model.options.activation, model.options.gate_activation
    i, f, g, o = graph.split(graph.op("Add", normed(from_input, "ih"), normed(from_hidden, "hh")), 4)
    kept = graph.op("Mul", _activated(graph, gate, f), state[1])
    written = graph.op("Mul", _activated(graph, gate, i), _activated(graph, activation, g))
    c = graph.op("Add", kept, written)
    shown = _activated(graph, activation, normed(c, "c"))
    h = graph.op("Mul", _activated(graph, gate, o), shown)
    return [h, c]


def _gru(graph: Graph, from_input: str, from_hidden: str, state: list[str]) -> list[str]:
    """`lstm_lm.cells.gru`: h."""
    (r_input, z_input, n_input), (r_hidden, z_hidden, n_hidden) = (
        graph.split(part, 3) for part in (from_input, from_hidden)
    )
    r = graph.op("Sigmoid", graph.op("Add", r_input, r_hidden))
    z = graph.op("Sigmoid", graph.op("Add", z_input, z_hidden))
    n = graph.op("Tanh", graph.op("Add", n_input, graph.op("Mul", r, n_hidden)))
    return [_between(graph, n, state[0], z)]


def _activated(graph: Graph, name: str, x: str) -> str:
    kind, attributes = ACTIVATIONS[name]
    return graph.op(kind, x, **attributes)


def _zoned_out(graph: Graph, old: str, new: str, stay: float) -> str:
    """Without training a share of the old state stays."""
    return _between(graph, new, old, graph.constant(stay, np.float32)) if stay else new


def _between(graph: Graph, start: str, end: str, share: str) -> str:
    """`start + share * (end - start)`."""
    return graph.op("Add", start, graph.op("Mul", share, graph.op("Sub", end, start)))
