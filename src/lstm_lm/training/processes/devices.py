"""Which devices a `trainer` section means, one a process."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.accelerators import Accelerator, CPUAccelerator, CUDAAccelerator, MPSAccelerator

from lstm_lm.errors import UserError
from lstm_lm.forward import hardware
from lstm_lm.training.processes.started import Started

LIGHTNING_STRATEGIES = ("auto", "ddp", "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true")
_ACCELERATORS: dict[str, type[Accelerator]] = {"cpu": CPUAccelerator, "cuda": CUDAAccelerator, "mps": MPSAccelerator}


def asks_for_several(trainer: Mapping[str, Any]) -> bool:
    """Whether the `trainer` section may mean several processes, on whatever machine."""
    devices = trainer["devices"]
    if isinstance(devices, list):
        devices = len(devices)
    return str(trainer["strategy"]).startswith("ddp") or str(devices) not in ("auto", "0", "1")


def local_devices(trainer: Mapping[str, Any]) -> list[torch.device]:
    """The devices of this machine that a `trainer` section that `asks_for_several` means.

    Raises:
        UserError: as `hardware.resolve`; there are fewer, or they cannot work together in the way that is asked for.
    """
    asked, kind = trainer["devices"], _ACCELERATORS[hardware.resolve(trainer).accelerator]
    try:
        parsed = kind.parse_devices(kind.auto_device_count() if asked == "auto" else asked)
        found = [torch.device(device) for device in kind.get_parallel_devices(parsed)]
    except (MisconfigurationException, TypeError, ValueError) as error:
        raise UserError(f"trainer.devices={asked}: {' '.join(str(error).split())[:300]}") from error
    if len(found) > 1 and trainer["strategy"] not in LIGHTNING_STRATEGIES:
        raise UserError(f"trainer.strategy={trainer['strategy']}: several devices work together with device=ddp")
    return found


def device_of(process: Started, trainer: Mapping[str, Any]) -> torch.device:
    """Where `process`, which is this one, computes.

    Raises:
        UserError: as `local_devices`; or this machine has no device for it.
    """
    here = local_devices(trainer)
    # A launcher may show each process its own device only. CPUs are all one device.
    index = 0 if here[0].type == "cpu" or (process.own_devices and len(here) == 1) else process.local_rank
    if index >= len(here):
        raise UserError(
            f"process {index + 1} of this machine has no device: trainer.devices={trainer['devices']} is {len(here)}\n"
            "start as many processes on a machine as it has devices"
        )
    return here[index]
