"""A model's weights inside a checkpoint of the module that trained it, and whether they fit another model."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

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
