"""Memory: whether a model has room, the most that was in use, and a GPU's kept memory given back now and then."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

import lightning.pytorch as pl
import psutil
import torch

from lstm_lm import limits
from lstm_lm.errors import Unavailable
from lstm_lm.models.build import count_parameters

_REMEDY = "choose a smaller model.hidden_size, model.num_layers, model.embedding_size or vocabulary"


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
    count = count_parameters(section, vocabulary_size)
    each = (2 + averages) * dtype.itemsize  # weight, gradient, averages
    on_host = count * (each if device.type == "cpu" else torch.float32.itemsize)
    _refuse(count, on_host, min(limits.usable_memory(), limits.address_space_left()), "this process may use")
    if device.type == "cuda":
        _refuse(count, count * each, torch.cuda.mem_get_info(device)[1], f"{device} has")


def _refuse(parameters: int, needed: int, there: float, whose: str) -> None:
    if needed > there:
        raise Unavailable(
            f"{parameters:,} parameters take {limits.gib(needed)} of memory before the first window, "
            f"and {whose} {limits.gib(there)}\n{_REMEDY}"
        )


def peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU's memory that tensors took, else of the process (which never falls within a process)."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class EmptyCache(pl.Callback):
    """Gives back, after every `every_n` windows, what is kept for later and used by nothing.

    It costs time: the GPU is waited for, and memory is asked for again. It helps where another program needs that
    memory, or where it has become fragmented.
    """

    def __init__(self, every_n: int, empty: Callable[[], None]) -> None:
        """`every_n`: 1 or more; `empty`: what gives it back (see `emptier`)."""
        self._every = every_n
        self._empty = empty
        self._windows = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts through all epochs."""
        self._windows += 1
        if self._windows % self._every == 0:
            self._empty()


def emptier(device: torch.device) -> Callable[[], None] | None:
    """What gives back the memory that PyTorch keeps of `device`; None: it keeps none (on a CPU)."""
    return {"cuda": torch.cuda.empty_cache, "mps": torch.mps.empty_cache}.get(device.type)
