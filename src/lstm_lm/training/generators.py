"""The random generators that decide what a training step does: dropout's own, and PyTorch's."""

from typing import Any

import torch

from lstm_lm.models.interface import LanguageModel


def states(model: LanguageModel, device: torch.device) -> dict[str, Any]:
    """Where each of them stands, for a checkpoint."""
    found: dict[str, Any] = {"masks": model.masks.state(), "torch": torch.get_rng_state()}
    if device.type == "cuda":
        found["cuda"] = torch.cuda.get_rng_state(device)
    return found


def load_states(saved: dict[str, Any], model: LanguageModel, device: torch.device) -> None:
    """Have them go on from there; that of a device is left alone where the checkpoint is of another kind of device."""
    model.masks.load_state(saved["masks"])
    torch.set_rng_state(saved["torch"])
    cuda = saved.get("cuda")
    if cuda is not None and device.type == "cuda":
        torch.cuda.set_rng_state(cuda.cpu(), device)
