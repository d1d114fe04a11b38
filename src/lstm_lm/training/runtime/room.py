"""Whether a model has room here at all, found from its shapes before memory is asked for."""

from collections.abc import Mapping
from typing import Any

import torch

from lstm_lm import limits
from lstm_lm.errors import Unavailable
from lstm_lm.models.build import blank_model


def refuse_without_room(
    section: Mapping[str, Any], vocabulary_size: int, averages: int, dtype: torch.dtype, device: torch.device
) -> None:
    """Refuse a model that cannot be trained here, whatever the batch: what goes with each parameter exceeds the memory.

    Linux hands out more memory than there is, and ends the process, or another one, when it is used.

    Args:
        section: the configuration's `model` section.
        vocabulary_size: V.
        averages: numbers that the optimizer keeps for each parameter.
        dtype: of the parameters while training.
        device: where training computes; the weights are drawn on the CPU, as float32.

    Raises:
        Unavailable: names the sizes, and what would be smaller.
    """
    count = _parameters(section, vocabulary_size)
    each = (2 + averages) * dtype.itemsize  # weight, gradient, averages
    on_host = count * (each if device.type == "cpu" else torch.float32.itemsize)
    _refuse(count, on_host, min(limits.usable_memory(), limits.address_space_left()), "this process may use")
    if device.type == "cuda":
        _refuse(count, count * each, torch.cuda.mem_get_info(device)[1], f"{device} has")


def _parameters(section: Mapping[str, Any], vocabulary_size: int) -> int:
    with torch.device("meta"):
        return blank_model(section, vocabulary_size).num_parameters()


_REMEDY = "choose a smaller model.hidden_size, model.num_layers, model.embedding_size or vocabulary"


def _refuse(parameters: int, needed: int, there: float, whose: str) -> None:
    if needed > there:
        raise Unavailable(
            f"{parameters:,} parameters take {limits.gib(needed)} of memory before the first window, "
            f"and {whose} {limits.gib(there)}\n{_REMEDY}"
        )
