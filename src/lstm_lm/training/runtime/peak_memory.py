"""The most memory that was in use at once."""

import sys

import psutil
import torch


def peak_memory(device: torch.device) -> int:
    """Bytes: of the GPU's memory that tensors took, else of the process (which never falls within a process)."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
