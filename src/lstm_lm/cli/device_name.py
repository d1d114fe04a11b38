"""The group `device=`, which has Lightning's words for training, for commands that do without Lightning."""

from collections.abc import Mapping
from typing import Any


def device_name(device: Mapping[str, Any]) -> str:
    """Torch's name of the device that the section means, or `auto` or `gpu`."""
    accelerator, devices = str(device.get("accelerator")), device.get("devices")
    if accelerator in ("gpu", "cuda") and isinstance(devices, list) and devices:
        return f"cuda:{devices[0]}"
    return accelerator
