"""The feed-forward model of a fixed window (`lstm_lm.models.backbones.ffn`)."""

import numpy as np

from lstm_lm.exporting.onnx_graphs.graph import BATCH, Graph
from lstm_lm.models.backbones.ffn import BEFORE, FFNLanguageModel


def add(graph: Graph, model: FFNLanguageModel, tokens: str) -> str:
    """Add the model, which reads `tokens[T, B]`; gives the name of `logits[T, B, V]`."""
    options = model.options
    size, context = options.embedding_size, options.context_size
    one, zero = graph.constant(1), graph.constant(0)
    state = graph.arguments("last_tokens", (context - 1, BATCH), np.int64)
    read = graph.op("Concat", state, graph.op("Add", tokens, one), axis=0)
    steps = graph.op("Gather", graph.op("Shape", tokens), zero)

    embedding = graph.weight("embedding.weight", model.embedding.weight)
    known = graph.op("Gather", embedding, graph.op("Max", graph.op("Sub", read, one), zero), axis=0)
    nothing = graph.op("Unsqueeze", graph.op("Equal", read, graph.constant(BEFORE)), graph.constant([-1]))
    x = graph.op("Where", nothing, graph.weight("embedding.before", model.embedding.before), known)
    starts = graph.op("Unsqueeze", graph.op("Range", zero, steps, one), graph.constant([1]))
    places = graph.op("Add", starts, graph.constant([range(context)]))  # [T, C]: rows of x
    windows = graph.op("Transpose", graph.op("Gather", x, places, axis=0), perm=[0, 2, 1, 3])  # [T, B, C, E]
    windows = graph.op("Reshape", windows, graph.constant([0, 0, context * size]))

    y = windows
    for index, layer in enumerate(model.layers):
        weight, bias = (graph.weight(f"layers.{index}.{name}", tensor) for name, tensor in layer.named_parameters())
        y = _activated(graph, options.activation, graph.linear(y, weight, bias))
    head = embedding if options.tie_weights else graph.weight("head.weight", model.head.weight)
    logits = graph.linear(y, head, graph.weight("head.bias", model.head.bias))
    if model.direct is not None:
        logits = graph.op("Add", logits, graph.linear(windows, graph.weight("direct.weight", model.direct.weight)))
    end = graph.constant([np.iinfo(np.int64).max])
    after = graph.op("Slice", read, graph.op("Unsqueeze", steps, graph.constant([0])), end, graph.constant([0]))
    graph.result("next_last_tokens", after, (context - 1, BATCH), np.int64)
    return logits


def _activated(graph: Graph, activation: str, x: str) -> str:
    if activation == "gelu":
        return gelu(graph, x)
    return graph.op({"tanh": "Tanh", "relu": "Relu"}[activation], x)


def gelu(graph: Graph, x: str) -> str:
    """`x * (1 + erf(x / sqrt(2))) / 2`; ONNX has it as an operator of its own since opset 20."""
    inner = graph.op("Erf", graph.op("Mul", x, graph.constant(0.5**0.5, np.float32)))
    doubled = graph.op("Mul", x, graph.op("Add", inner, graph.constant(1.0, np.float32)))
    return graph.op("Mul", doubled, graph.constant(0.5, np.float32))
