"""Which device each layer lives on: neighbouring layers together, the devices' costs balanced."""

import torch

from lstm_lm.errors import Unavailable, UserError
from lstm_lm.forward.interface import StackSpec


def balanced(spec: StackSpec, devices: int) -> tuple[range, ...]:
    """Cut the layers into `devices` runs of neighbours so that the most expensive run costs least.

    A layer's cost is its products', H * (I + H).

    Raises:
        UserError: more devices than layers.
    """
    layers = spec.num_layers
    if devices > layers:
        raise UserError(f"forward.devices: {devices} devices for {layers} layers\nname at most one device a layer")
    costs = [width * (inputs + width) for inputs, width in zip(spec.input_sizes, spec.hidden_sizes, strict=True)]
    # best[n][end]: the most expensive of n + 1 runs that cover the layers before `end`, and where the last one starts
    best = [[(sum(costs[:end]), 0) for end in range(layers + 1)]]
    for run in range(1, devices):
        row: list[tuple[int, int]] = []
        for end in range(layers + 1):
            cuts = [(max(best[-1][cut][0], sum(costs[cut:end])), cut) for cut in range(run, end)]
            row.append(min(cuts, default=(sum(costs) + 1, 0)))
        best.append(row)
    runs: list[range] = []
    end = layers
    for row in reversed(best):
        start = row[end][1]
        runs.append(range(start, end))
        end = start
    return tuple(reversed(runs))


def find_devices(names: tuple[str, ...]) -> tuple[torch.device, ...]:
    """The devices of these names.

    Raises:
        UserError: one is not a device's name, or is not there.
    """
    found: list[torch.device] = []
    for name in names:
        try:
            device = torch.device(name)
        except RuntimeError:
            raise UserError(f"forward.devices: {name!r} is no device; use cpu, cuda:0, cuda:1, ...") from None
        if device.type not in ("cpu", "cuda"):
            raise UserError(f"forward.devices: {name}: layers are placed on cpu and cuda devices only")
        if device.type == "cuda":
            device = torch.device("cuda", device.index or 0)
            count = torch.cuda.device_count() if torch.cuda.is_available() else 0
            if device.index >= count:
                raise Unavailable(f"forward.devices: {name}: {_there(count)}")
        found.append(device)
    return tuple(found)


def _there(count: int) -> str:
    """What to name instead, where PyTorch finds `count` CUDA devices."""
    if count == 0:
        return (
            f"PyTorch {torch.__version__} finds no CUDA device on this machine\n"
            "use [cpu,cpu] (two threads), or leave forward.devices=null and set forward.workers"
        )
    return f"this machine has {'only cuda:0' if count == 1 else f'cuda:0 to cuda:{count - 1}'}"
