"""Small models without recurrent layers, and texts for them."""

from functools import cache
from typing import Any

import torch
from quick_compose import compose
from torch import Tensor

from lstm_lm.models.build import build_model
from lstm_lm.models.interface import LanguageModel

SIZES: dict[str, dict[str, Any]] = {
    "transformer": {"embedding_size": 8, "hidden_size": 12, "num_layers": 2, "num_heads": 2, "context_size": 4},
    "ffn": {"embedding_size": 3, "hidden_size": 8, "num_layers": 2, "context_size": 4},
}
NAMES = sorted(SIZES)
V = 11


@cache
def _composed(name: str) -> dict[str, Any]:
    values: dict[str, Any] = compose(f"model={name}")["model"]
    return values


def section(name: str, **changes: Any) -> dict[str, Any]:
    """The `model` section of conf/model/NAME.yaml, small."""
    dropouts = dict.fromkeys(("embedding_dropout", "layer_dropout", "output_dropout"), changes.get("dropout", 0.0))
    return _composed(name) | SIZES[name] | dropouts | changes


def model(name: str, **changes: Any) -> LanguageModel:
    """In float64, with weights large enough for every token in reach to matter."""
    torch.manual_seed(0)
    made = build_model(section(name, **changes), V).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape) * (0.4 if parameter.ndim > 1 else 1.0))
    return made


def text(steps: int, batch: int = 3, seed: int = 0) -> Tensor:
    """`[T, B]`."""
    return torch.randint(V, (steps, batch), generator=torch.Generator().manual_seed(seed))


def in_pieces(lm: LanguageModel, tokens: Tensor, lengths: list[int]) -> Tensor:
    """The logits of `tokens`, read in calls of these lengths, the state carried."""
    state, logits = lm.initial_state(tokens.shape[1]), []
    for piece in tokens.split(lengths):
        out, state = lm(piece, state)
        logits.append(out)
    return torch.cat(logits)
