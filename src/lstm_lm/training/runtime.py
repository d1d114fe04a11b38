"""Settings of the whole process for the length of one run: set on entry, as they were on leaving.

A sweep's jobs share a process, so what one sets must not colour the next. The allocator's setting is the exception:
a process cannot take it back (see `allocator.py`).
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from lstm_lm.training.allocator import keep_freed_memory


@contextmanager
def runtime_settings(*, allocator: bool, threads: int | None, float32_matmul_precision: str) -> Iterator[None]:
    """Apply the `runtime` section; put threads, precisions, cuDNN's flags, default type and generators back after."""
    threads_before = torch.get_num_threads()
    matmul_before = torch.get_float32_matmul_precision()
    dtype_before = torch.get_default_dtype()
    cudnn = torch.backends.cudnn
    cudnn_before = (cudnn.benchmark, cudnn.deterministic)
    deterministic_before = torch.are_deterministic_algorithms_enabled()
    warn_only_before = torch.is_deterministic_algorithms_warn_only_enabled()
    anomaly_before = torch.is_anomaly_enabled()
    generators = (random.getstate(), np.random.get_state(), torch.get_rng_state())
    try:
        if allocator:
            keep_freed_memory()
        if threads is not None:
            torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(float32_matmul_precision)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        yield
    finally:
        torch.set_num_threads(threads_before)
        torch.set_float32_matmul_precision(matmul_before)
        torch.set_default_dtype(dtype_before)
        cudnn.benchmark, cudnn.deterministic = cudnn_before
        torch.use_deterministic_algorithms(deterministic_before, warn_only=warn_only_before)
        torch.set_grad_enabled(True)
        torch.autograd.set_detect_anomaly(anomaly_before)
        random.setstate(generators[0])
        np.random.set_state(generators[1])
        torch.set_rng_state(generators[2])
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
