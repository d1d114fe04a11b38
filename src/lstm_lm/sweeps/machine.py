"""The machine in one line, so that figures of different ones are not taken for each other's."""

import os
import platform

import psutil
import torch

from lstm_lm import limits


def machine() -> str:
    """Processor, cores and memory that a process may use, GPUs, operating system; the same however busy it is."""
    processor = str(torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine())
    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    may_use = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores
    count = f"{cores} cores" if cores <= may_use else f"{may_use} of {cores} cores"
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("Apple GPU")
    parts = [processor, count, f"{limits.usable_memory() / 2**30:.0f} GiB", " and ".join(gpus) or "no GPU"]
    return ", ".join([*parts, platform.system()])
