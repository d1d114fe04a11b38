"""The machine in one line, so that figures of different ones are not taken for each other's."""

import platform

import psutil
import torch

from lstm_lm import limits


def machine() -> str:
    """Processor, cores and memory that a process may use, GPUs, operating system."""
    processor = str(torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine())
    cores, there = limits.usable_cores(), psutil.cpu_count(logical=False) or limits.usable_cores()
    count = f"{cores} cores" if cores == there else f"{cores} of {there} cores"
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        gpus.append("Apple GPU")
    parts = [processor, count, f"{limits.usable_memory() / 2**30:.0f} GiB", " and ".join(gpus) or "no GPU"]
    return ", ".join([*parts, platform.system()])
