"""The Transformer (`lstm_lm.models.backbones.transformer`); its state is how much it has read, and keys and values."""

import math
from typing import NamedTuple

import numpy as np

from lstm_lm.exporting.onnx_graphs.ffn import gelu
from lstm_lm.exporting.onnx_graphs.graph import BATCH, Graph
from lstm_lm.models.backbones.transformer import TransformerLanguageModel
from lstm_lm.models.rotary import PERIOD
from lstm_lm.models.transformer_block import EPSILON, TransformerBlock

HIDDEN = -1e9
"""Added to what a query must not see; minus infinity would make no number of a row that sees nothing."""


class _Window(NamedTuple):
    """What all layers share."""

    steps: str
    """int64 [1]: T."""
    cos: str
    """[T, 1, 1, d / 2], as `sin`."""
    sin: str
    visible: str
    """[T, C - 1 + T]: what is added to the products of queries and keys."""


def add(graph: Graph, model: TransformerLanguageModel, tokens: str) -> str:
    """Add the model, which reads `tokens[T, B]`; gives the name of `logits[T, B, V]`."""
    options = model.options
    slots, heads = options.context_size - 1, options.num_heads
    read = graph.arguments("read", (), np.int64)
    window = _window(graph, model, tokens, read)
    embedding = graph.weight("embedding.weight", model.embedding.weight)
    x = graph.op("Gather", embedding, tokens, axis=0)
    shape = (BATCH, heads, slots, options.embedding_size // heads)
    for index, block in enumerate(model.blocks):
        assert isinstance(block, TransformerBlock)
        named = dict(block.named_parameters(prefix=f"blocks.{index}"))
        weights = {name.split(".")[2]: graph.weight(name, tensor) for name, tensor in named.items()}
        cache = [graph.arguments(f"{kind}_{index}", shape) for kind in ("keys", "values")]
        normed = _norm(graph, x, weights["attention_norm"])
        parts = graph.split(graph.linear(normed, weights["query_key_value"]), 3)
        queries, keys, values = (graph.op("Reshape", part, graph.constant([0, 0, heads, -1])) for part in parts)
        queries, keys = _rotated(graph, queries, window), _rotated(graph, keys, window)
        rows = [graph.op("Transpose", part, perm=[1, 2, 0, 3]) for part in (queries, keys, values)]  # [B, heads, T, d]
        known = [graph.op("Concat", old, new, axis=2) for old, new in zip(cache, rows[1:], strict=True)]
        y = _attended(graph, rows[0], known[0], known[1], window, shape[-1])
        x = graph.op("Add", x, graph.linear(y, weights["attention_out"]))
        inner = graph.linear(_norm(graph, x, weights["feed_forward_norm"]), weights["feed_forward_in"])
        x = graph.op("Add", x, graph.linear(_activated(graph, inner, gated=block.gated), weights["feed_forward_out"]))
        end, axis = graph.constant([np.iinfo(np.int64).max]), graph.constant([2])
        for kind, whole in zip(("keys", "values"), known, strict=True):
            graph.result(f"next_{kind}_{index}", graph.op("Slice", whole, window.steps, end, axis), shape)
    graph.result(
        "next_read", graph.op("Add", read, graph.op("Squeeze", window.steps, graph.constant([0]))), (), np.int64
    )
    head = embedding if options.tie_weights else graph.weight("head.weight", model.head.weight)
    return graph.linear(_norm(graph, x, graph.weight("head.norm.weight", model.head.norm.weight)), head)


def _window(graph: Graph, model: TransformerLanguageModel, tokens: str, read: str) -> _Window:
    """Angles and visibility: positions are counted modulo the period, as in `lstm_lm.models.rotary`."""
    zero, one, period = graph.constant(0), graph.constant(1), graph.constant(PERIOD)
    slots = graph.constant(model.options.context_size - 1)
    steps = graph.op("Gather", graph.op("Shape", tokens), zero)
    now = graph.op("Range", zero, steps, one)  # [T]
    position = graph.op("Unsqueeze", graph.op("Mod", graph.op("Add", now, read), period), graph.constant([1, 2, 3]))
    turns = graph.op("Mod", graph.op("Mul", position, graph.constant(model.rotary.turns.numpy())), period)
    rate = graph.constant(math.tau / PERIOD, np.float32)
    angles = graph.op("Mul", graph.op("Cast", turns, to=1), rate)

    keys = graph.op("Range", zero, graph.op("Add", slots, steps), one)  # [C - 1 + T]
    queries = graph.op("Unsqueeze", graph.op("Add", now, slots), graph.constant([1]))
    back = graph.op("Sub", queries, keys)  # how far back it lies
    later, out_of_sight = graph.op("Less", back, zero), graph.op("Greater", back, slots)
    empty = graph.op("Less", keys, graph.op("Sub", slots, read))
    hidden = graph.op("Or", graph.op("Or", later, out_of_sight), empty)
    visible = graph.op("Mul", graph.op("Cast", hidden, to=1), graph.constant(HIDDEN, np.float32))
    return _Window(
        steps=graph.op("Unsqueeze", steps, graph.constant([0])),
        cos=graph.op("Cos", angles),
        sin=graph.op("Sin", angles),
        visible=visible,
    )


def _norm(graph: Graph, x: str, gain: str) -> str:
    """Zhang and Sennrich's RMSNorm."""
    mean = graph.op("ReduceMean", graph.op("Mul", x, x), axes=[-1], keepdims=1)
    root = graph.op("Sqrt", graph.op("Add", mean, graph.constant(EPSILON, np.float32)))
    return graph.op("Mul", graph.op("Div", x, root), gain)


def _rotated(graph: Graph, x: str, window: _Window) -> str:
    """`lstm_lm.models.rotary.rotate`."""
    first, second = graph.split(x, 2)
    turned = (
        graph.op("Sub", graph.op("Mul", first, window.cos), graph.op("Mul", second, window.sin)),
        graph.op("Add", graph.op("Mul", second, window.cos), graph.op("Mul", first, window.sin)),
    )
    return graph.op("Concat", *turned, axis=-1)


def _attended(graph: Graph, queries: str, keys: str, values: str, window: _Window, size: int) -> str:
    """Queries `[B, heads, T, d]`, keys and values `[B, heads, C - 1 + T, d]` -> `[T, B, E]`."""
    products = graph.op("MatMul", queries, graph.op("Transpose", keys, perm=[0, 1, 3, 2]))
    scores = graph.op("Add", graph.op("Mul", products, graph.constant(size**-0.5, np.float32)), window.visible)
    y = graph.op("MatMul", graph.op("Softmax", scores, axis=-1), values)
    return graph.op("Reshape", graph.op("Transpose", y, perm=[2, 0, 1, 3]), graph.constant([0, 0, -1]))


def _activated(graph: Graph, inner: str, *, gated: bool) -> str:
    if not gated:
        return gelu(graph, inner)
    gate, value = graph.split(inner, 2)
    return graph.op("Mul", graph.op("Mul", gate, graph.op("Sigmoid", gate)), value)
