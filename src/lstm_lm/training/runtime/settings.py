"""The `runtime` section: settings of the whole process for the length of one run; as they were on leaving.

Several calls of `lstm_lm.train` may share a process, so what one sets must not colour the next. All is put back
(`process_state.py`), with two exceptions that no process can take back:

- the allocator (`allocator.py`): once freed memory is kept, it is kept for every run that follows in this process;
- inter-op threads (`torch.set_num_interop_threads`): PyTorch takes their number once. Nothing here runs on them, so
  there is no key, and the number stays PyTorch's.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import torch
from pydantic import Field

from lstm_lm import limits
from lstm_lm.data.token_stream import TokenStream
from lstm_lm.options import Options
from lstm_lm.training.runtime import process_state
from lstm_lm.training.runtime.allocator import keep_freed_memory, keeps_freed_memory

Setting = bool | int | str | None


class RuntimeOptions(Options):
    """`runtime`: settings of the process."""

    allocator: bool
    threads: Annotated[int, Field(ge=1, le=4096)] | None
    cudnn_benchmark: bool | None
    float32_matmul_precision: Literal["highest", "high", "medium"]
    empty_cache_every_n_batches: Annotated[int, Field(ge=0, le=10**9)] | None
    token_stream: TokenStream


@contextmanager
def runtime_settings(options: RuntimeOptions) -> Iterator[None]:
    """Apply the settings; put everything about the process back after, however the run ends."""
    undo = process_state.remember()
    try:
        if options.allocator:
            keep_freed_memory()
        torch.set_num_threads(_threads(options))
        # PyTorch's older interface, which Lightning and TorchInductor read: they fail where the newer one was used.
        torch.set_float32_matmul_precision(options.float32_matmul_precision)
        torch.backends.cudnn.allow_tf32 = options.float32_matmul_precision != "highest"
        if options.cudnn_benchmark is not None:
            torch.backends.cudnn.benchmark = options.cudnn_benchmark
        if process_state.gpu_in_use():
            for index in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(index)
        yield
    finally:
        undo()
        if process_state.gpu_in_use():
            gc.collect()  # a module and its trainer know each other: without this the GPU's memory would wait for it
            torch.cuda.empty_cache()


def in_force(options: RuntimeOptions) -> dict[str, Setting]:
    """What of `options` this process now has, `auto` and null resolved; for summary.json and TensorBoard."""
    return {
        "allocator": keeps_freed_memory(),
        "threads": torch.get_num_threads(),
        "interop_threads": torch.get_num_interop_threads(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "empty_cache_every_n_batches": options.empty_cache_every_n_batches or 0,
    }


def _threads(options: RuntimeOptions) -> int:
    """Those asked for; else PyTorch's number, but no more than there are cores."""
    if options.threads is not None:
        return options.threads
    return min(torch.get_num_threads(), limits.usable_cores())
