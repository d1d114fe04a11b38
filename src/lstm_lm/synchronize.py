"""Wait for a device: work is given to a GPU without waiting for it, so whoever times it must."""

import torch


def synchronize(device: torch.device) -> None:
    """Return once `device` has done all that it was asked to do; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
