"""Devices and precisions: `auto` resolved, the impossible refused, both with a reason to read."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch

from lstm_lm.cells.lstm import LSTM
from lstm_lm.errors import Unavailable, UserError
from lstm_lm.forward import trials

TYPES: dict[str, tuple[torch.dtype, torch.dtype]] = {
    "32-true": (torch.float32, torch.float32),
    "16-mixed": (torch.float32, torch.float16),
    "bf16-mixed": (torch.float32, torch.bfloat16),
    "bf16-true": (torch.bfloat16, torch.bfloat16),
    "64-true": (torch.float64, torch.float64),
}
"""For each precision, the type of the weights and that of the products inside the stack of layers."""
PRECISIONS = ("auto", *TYPES)
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


class Hardware(NamedTuple):
    """What a run computes on, and in what type."""

    accelerator: str
    """Lightning's name: cpu, cuda or mps."""
    device: torch.device
    precision: str
    """A key of TYPES."""
    precision_reason: str
    processes: int = 1
    """As many compute together, each on a device of its own."""

    @property
    def label(self) -> str:
        """For people, with the threads that are in force: `cpu (AMD EPYC, 2 threads)`."""
        one = _label(self.device)
        return one if self.processes == 1 else f"{self.processes} processes, each on {one}"

    @property
    def parameter_dtype(self) -> torch.dtype:
        """The type of the weights."""
        return TYPES[self.precision][0]

    @property
    def dtype(self) -> torch.dtype:
        """The type of the products inside the stack of layers."""
        return TYPES[self.precision][1]


def resolve(trainer: Mapping[str, Any]) -> Hardware:
    """What `trainer.accelerator`, `trainer.devices` and `trainer.precision` mean on this machine.

    Raises:
        UserError: a device that is not there, or a precision that it does not have; says what to type instead.
    """
    devices = read_devices(trainer["devices"])
    first = devices[0] if isinstance(devices, list) else 0
    device = find_device(str(trainer["accelerator"]), first, key="trainer.accelerator")
    if device.type == "cpu" and (isinstance(devices, list) or devices == -1):
        raise UserError(
            f"trainer.devices={trainer['devices']}: this is a CPU: say how many processes, 1 or more, or auto"
        )
    precision = str(trainer["precision"])
    check_precision(precision, device)
    if precision == "auto":
        precision, reason = native_precision(device)
    else:
        reason = f"asked for{drawback(precision, device)}"
    return Hardware(device.type, device, precision, reason)


def find_device(name: str, index: int = 0, *, key: str = "device") -> torch.device:
    """The device that `name` (one of ACCELERATORS) means on this machine; of several GPUs the one numbered `index`.

    Raises:
        UserError: it is not there; one line that begins with `key=name`.
    """
    if name not in ACCELERATORS:
        raise UserError(f"{key}={name}: no such device\nchoose one of: {', '.join(ACCELERATORS)}")
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "cpu" or (name == "auto" and not (cuda or mps)):
        return torch.device("cpu")
    if name in ("auto", "gpu", "cuda") and cuda:
        count = torch.cuda.device_count()
        if index >= count:
            raise Unavailable(f"{key}={name}: there is no GPU number {index}: this machine has {count}, counted from 0")
        return torch.device(f"cuda:{index}")
    if name in ("auto", "gpu", "mps") and mps:
        return torch.device("mps")
    if name == "mps":
        raise Unavailable(f"{key}=mps: this machine has no Apple GPU; use device=auto or device=cpu")
    raise Unavailable(
        f"{key}={name}: PyTorch {torch.__version__} finds no GPU on this machine; "
        "use device=cpu (trainer.accelerator=cpu), or install a CUDA build of PyTorch and a driver"
    )


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse what a device does not have, above all what Lightning would silently replace.

    Raises:
        UserError: no such precision, or not on this device; names the alternative.
    """
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision}: no such precision\nchoose one of: {', '.join(PRECISIONS)}")
    if precision == "16-mixed" and device.type == "cpu":
        raise Unavailable("precision=16-mixed: a CPU has no float16 mixed precision; use bf16-mixed or 32-true")
    if precision == "64-true" and device.type == "mps":
        raise Unavailable("precision=64-true: Apple's GPUs have no float64; use 32-true, or device=cpu")


def native_precision(device: torch.device) -> tuple[str, str]:
    """The fastest precision that trains well and that `device` computes in hardware, with the reason."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        kernel = trials.run_once(LSTM, device, torch.float16).kernel
        if kernel is None or (kernel == "cuDNN" and torch.cuda.get_device_capability(device) < (7, 0)):
            return "32-true", f"{name} has no fast 16-bit LSTM"
        fastest = ", the type of cuDNN's fastest LSTM kernels" if kernel == "cuDNN" else ""
        return "16-mixed", f"{name} computes float16 in hardware{fastest}"
    if device.type == "cpu":
        if cpu_has_bfloat16():
            return "bf16-mixed", "this CPU computes bfloat16 in hardware"
        return "32-true", "this CPU computes no bfloat16 in hardware"
    return "32-true", f"the safe choice on {device.type}"


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively: it says so, and oneDNN did it."""
    return trials.products_in_hardware(torch.device("cpu"), torch.bfloat16)


def drawback(precision: str, device: torch.device) -> str:
    """What a person who runs in it should know, to be put behind the reason."""
    if device.type == "cpu" and TYPES[precision][1] == torch.bfloat16 and not cpu_has_bfloat16():
        return "; this CPU computes bfloat16 in software: 32-true is faster"
    return ""


def read_devices(devices: Any) -> int | list[int] | Literal["auto"]:
    """What `trainer.devices` means, read as Lightning reads it: how many (-1: all), or which, by index.

    `2` and `"2"` are two devices, `[1]` and `"1,"` the one with index 1.

    Raises:
        UserError: it is none of these.
    """
    read = _numbers(devices) if isinstance(devices, str) else devices
    if read == "auto":
        return "auto"
    if isinstance(read, list):
        whole = all(type(index) is int and index >= 0 for index in read)  # not isinstance: True is no index
        good = whole and 0 < len(read) == len({*read})
    else:
        good = type(read) is int and (read >= 1 or read == -1)
    if not good:
        raise UserError(
            f"trainer.devices={devices}: must be how many (1 or more; -1: all), auto, or which: indices, as [0, 2]"
        )
    found: int | list[int] = read
    return found


def _numbers(text: str) -> Any:
    try:
        return [int(part) for part in text.split(",") if part.strip()] if "," in text else int(text)
    except ValueError:
        return text


def _label(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        name = str(torch.cpu.get_capabilities().get("cpu_name") or torch.backends.cpu.get_cpu_capability())
        threads = torch.get_num_threads()
        return f"cpu ({name}, {threads} {'thread' if threads == 1 else 'threads'})"
    return str(device)
