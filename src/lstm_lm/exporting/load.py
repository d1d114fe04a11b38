"""The model in this folder, without the project that trained it: `model = load(); logits, state = model(tokens)`."""

import json
from itertools import pairwise
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor, nn


class Model(nn.Module):
    """Embedding, a chain of torch.nn's recurrent layers, output projection."""

    def __init__(self, cell: str, vocabulary_size: int, widths: list[int], tied: bool, **more: str) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, widths[0])
        self.layers = nn.ModuleList(getattr(nn, cell)(i, o, **more) for i, o in pairwise(widths))
        self.head = nn.Linear(widths[-1], vocabulary_size)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """int64 `tokens[T, B]` and the state before them -> `logits[T, B, V]` and the state after them."""
        x, after = self.embedding(tokens), []
        for index, layer in enumerate(self.layers):
            x, new = layer(x, None if state is None else state[index])
            after.append(new)
        return self.head(x), after


def load(folder: Path = Path(__file__).parent) -> Model:
    """The model with its weights."""
    model = Model(**json.loads((folder / "config.json").read_text(encoding="utf-8")))
    weights = load_file(folder / "model.safetensors")
    model.embedding.load_state_dict({"weight": weights["embedding.weight"]})
    for index, layer in enumerate(model.layers):  # named as in one torch.nn.LSTM of all layers
        layer.load_state_dict({f"{name[:-3]}_l0": weights[f"{name[:-3]}_l{index}"] for name in layer.state_dict()})
    head = weights.get("head.weight", weights["embedding.weight"])
    model.head.load_state_dict({"weight": head, "bias": weights["head.bias"]})
    return model.eval()
