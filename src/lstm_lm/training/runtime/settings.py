"""The `runtime` section: settings of the whole process for the length of one run; as they were on leaving.

Several calls of `lstm_lm.train` may share a process, so what one sets must not colour the next. All is put back
(`process_state.py`), with two exceptions that no process can take back:

- the allocator: once freed memory is kept, it is kept for every run that follows in this process;
- inter-op threads (`torch.set_num_interop_threads`): PyTorch takes their number once. Nothing here runs on them, so
  there is no key, and the number stays PyTorch's.
"""

import ctypes
import gc
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import lightning.pytorch as pl
import torch
from pydantic import Field

from lstm_lm import limits
from lstm_lm.data.token_stream import TokenStreamOption
from lstm_lm.options import Options
from lstm_lm.training.runtime import process_state

Setting = bool | int | str | None

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
"""mallopt's parameter numbers, from glibc's malloc.h."""
_keeps_freed_memory = False


class RuntimeOptions(Options):
    """`runtime`: settings of the process."""

    allocator: bool
    threads: Annotated[int, Field(ge=1, le=4096)] | None
    cudnn_benchmark: bool | None
    float32_matmul_precision: Literal["highest", "high", "medium"]
    empty_cache_every_n_batches: Annotated[int, Field(ge=0, le=10**9)] | None
    token_stream: TokenStreamOption


@contextmanager
def runtime_settings(options: RuntimeOptions) -> Iterator[None]:
    """Apply the settings, and quiet Lightning; put everything about the process back, however the run ends."""
    undo = process_state.remember()
    try:
        if options.allocator:
            keep_freed_memory()
        torch.set_num_threads(options.threads or min(torch.get_num_threads(), limits.usable_cores()))
        # PyTorch's older interface, which Lightning and TorchInductor read: they fail where the newer one was used.
        torch.set_float32_matmul_precision(options.float32_matmul_precision)
        torch.backends.cudnn.allow_tf32 = options.float32_matmul_precision != "highest"
        if options.cudnn_benchmark is not None:
            torch.backends.cudnn.benchmark = options.cudnn_benchmark
        if process_state.gpu_in_use():
            for index in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(index)
        with quiet_lightning():
            yield
    finally:
        undo()
        if process_state.gpu_in_use():
            gc.collect()  # a module and its trainer know each other: without this the GPU's memory would wait for it
            torch.cuda.empty_cache()


def in_force(options: RuntimeOptions) -> dict[str, Setting]:
    """What of `options` this process now has, `auto` and null resolved; for summary.json and TensorBoard."""
    return {
        "allocator": _keeps_freed_memory,
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "empty_cache_every_n_batches": options.empty_cache_every_n_batches or 0,
    }


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory in the process, for good; whether it agreed (False where there is no glibc).

    It gives large blocks back to the kernel as soon as they are free, so every training step on a CPU would pay for the
    same pages again.
    """
    global _keeps_freed_memory
    if not sys.platform.startswith("linux"):
        return False
    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:  # musl
        return False
    settings = ((M_MMAP_THRESHOLD, 1 << 30), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 1 << 28))
    agreed = all(libc.mallopt(parameter, value) == 1 for parameter, value in settings)
    _keeps_freed_memory = _keeps_freed_memory or agreed
    return agreed


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Hide Lightning's notices, which say what this project reports itself, and one of its warnings.

    Lightning 2.6.6 itself uses a class that PyTorch 2.13 deprecates, whenever it is given a loader. Nobody but
    Lightning can mend that.
    """
    logger = logging.getLogger(pl.__name__)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`", category=FutureWarning)
            yield
    finally:
        logger.setLevel(level)
