"""Read the model in this folder: model = load(); logits, state = model(tokens, state)."""

import json
from pathlib import Path

import safetensors.torch
from torch import nn


class Model(nn.Module):
    def __init__(self, cell, vocabulary_size, embedding_size, hidden_sizes, tie_weights, **more):
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size)
        sizes = zip([embedding_size, *hidden_sizes], hidden_sizes)
        self.layers = nn.ModuleList(getattr(nn, cell)(inputs, width, **more) for inputs, width in sizes)
        self.head = nn.Linear(hidden_sizes[-1], vocabulary_size)
        if tie_weights:
            self.head.weight = self.embedding.weight

    def forward(
        self, tokens, state=None
    ):  # int64 [T, B] -> float32 [T, B, V]; state: a list, one a layer; None at first
        x, state = self.embedding(tokens), list(state or [None] * len(self.layers))
        for index, layer in enumerate(self.layers):
            x, state[index] = layer(x, state[index])
        return self.head(x), state


def load(folder=Path(__file__).parent):
    weights = safetensors.torch.load_file(Path(folder) / "model.safetensors")
    model = Model(**json.loads((Path(folder) / "config.json").read_text(encoding="utf-8")))
    for name in list(weights):  # weight_ih_l1, as in one torch.nn.LSTM of all layers -> layers.1.weight_ih_l0
        if "_l" in name:
            weights[f"layers.{name.rpartition('_l')[2]}.{name.rpartition('_l')[0]}_l0"] = weights.pop(name)
    weights.setdefault("head.weight", weights["embedding.weight"])
    model.load_state_dict(weights)
    return model.eval()
