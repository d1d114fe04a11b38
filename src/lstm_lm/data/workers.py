"""How many processes prepare batches, for loaders that have something to prepare.

Windows of text are cut from a memory map in less time than a process needs to hand one over, so their loader has
none (see docs/decisions/0010-runtime-settings.md). A loader that does have work for them asks here.
"""

from typing import Literal

GB = 10**9
"""What machines are sold by: one "of 8 GB" has a little more than 8e9 bytes left after the firmware's share."""


def loader_workers(ram_bytes: int, cores: int, asked: int | Literal["auto"]) -> int:
    """Worker processes of a loader.

    Args:
        ram_bytes: the machine's memory: every worker is a process with its own copy of the libraries.
        cores: those that there are for workers and computation together; one is left to the latter.
        asked: a number, taken as it is; "auto": 0 below 8 GB, 2 below 16 GB, else 4, but never more than `cores` - 1.
    """
    if asked != "auto":
        return asked
    return max(0, min(_by_memory(ram_bytes), cores - 1))


def loader_prefetch(ram_bytes: int, workers: int, asked: int | Literal["auto"]) -> int | None:
    """Batches that each worker has ready; None without workers, as `torch.utils.data.DataLoader` wants it.

    Args:
        ram_bytes: the machine's memory.
        workers: what `loader_workers` gave.
        asked: a number, taken as it is; "auto": 2 below 16 GB, else 4.
    """
    if workers == 0:
        return None
    return max(2, _by_memory(ram_bytes)) if asked == "auto" else asked


def _by_memory(ram_bytes: int) -> int:
    if ram_bytes < 8 * GB:
        return 0
    return 2 if ram_bytes < 16 * GB else 4
