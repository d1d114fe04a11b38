"""A model's weights inside a checkpoint of the module that trained it, and whether they fit another model."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lstm_lm.models.interface import LanguageModel

PREFIX = "model."
"""Before the model's own names in a checkpoint's `state_dict`: there the model is a part of the training module."""
MOST_NAMED = 3


def model_weights(checkpoint: Mapping[str, Any]) -> dict[str, Tensor]:
    """The weights that a checkpoint's model is used with, under the model's own names.

    Those that were trained, `checkpoint["state_dict"]`, or where there is an average of them, that.
    """
    state: Mapping[str, Tensor] = checkpoint["state_dict"]
    trained = {name.removeprefix(PREFIX): tensor for name, tensor in state.items() if name.startswith(PREFIX)}
    average: Mapping[str, Tensor] = (checkpoint["lstm_lm"].get("averaging") or {}).get("weights", {})
    return trained | {name: tensor.to(trained[name].dtype) for name, tensor in average.items() if name in trained}


def with_rows(weights: Mapping[str, Tensor], model: LanguageModel, known: int) -> dict[str, Tensor]:
    """`weights` of a model of `model`'s first `known` tokens, with a row for each of its others: the mean of theirs.

    So n new tokens together get at most n / (known + n) of the probability, whatever was read before: the exponential
    of a mean is no more than the mean of exponentials (Hewitt, "Initializing New Word Embeddings for Pretrained
    Language Models", 2021). Rows behind those of the tokens stay behind them. What does not fit stays as it is.
    """
    new, expected = model.vocabulary_size - known, model.state_dict()

    def grown(name: str, rows: Tensor) -> Tensor:
        of_tokens = name.partition(".")[0] in model.token_parts and name in expected and rows.is_floating_point()
        if not new or not of_tokens or rows.ndim == 0 or len(rows) + new != len(expected[name]):
            return rows
        mean = rows[:known].mean(dim=0, keepdim=True)
        return torch.cat([rows[:known], mean.expand(new, *rows.shape[1:]), rows[known:]])

    return {name: grown(name, rows) for name, rows in weights.items()}


def difference(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str | None:
    """None where `weights` have the names and shapes of `expected`, a model's state dict; else what is not so."""
    missing = [name for name in expected if name not in weights]
    foreign = [name for name in weights if name not in expected]
    other = [
        f"{name} {list(weights[name].shape)} instead of {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    for what, names in (("lacks", missing), ("has unknown", foreign), ("has", other)):
        if names:
            more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
            return f"it {what} {', '.join(names[:MOST_NAMED])}{more}"
    return None
