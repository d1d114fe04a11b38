"""Which device and which precision a run gets: `auto` resolved, the impossible refused, both with a reason to read."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from lstm_lm.errors import UserError

PRECISIONS = ("auto", "32-true", "16-mixed", "bf16-mixed", "bf16-true", "64-true")
ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps")


class Hardware(NamedTuple):
    """What a run computes on, and in what type."""

    accelerator: str
    """Lightning's name: cpu, cuda or mps."""
    device: torch.device
    precision: str
    """One of PRECISIONS, but auto."""
    precision_reason: str
    label: str
    """For people: `cpu (AMD EPYC, 2 threads)`."""

    @property
    def dtype(self) -> torch.dtype:
        """The type of the products inside the stack of layers."""
        if "bf16" in self.precision:
            return torch.bfloat16
        return {"16": torch.float16, "64": torch.float64}.get(self.precision[:2], torch.float32)

    @property
    def parameter_dtype(self) -> torch.dtype:
        """The type of the weights."""
        return self.dtype if self.precision.endswith("-true") else torch.float32


def resolve(trainer: Mapping[str, Any]) -> Hardware:
    """What `trainer.accelerator` and `trainer.precision` mean on this machine.

    Raises:
        UserError: a device that is not there, or a precision that it does not have; says what to type instead.
    """
    accelerator = _accelerator(str(trainer["accelerator"]))
    precision = str(trainer["precision"])
    if precision not in PRECISIONS:
        raise UserError(f"precision={precision}: no such precision\nchoose one of: {', '.join(PRECISIONS)}")
    device = torch.device(f"cuda:{_first_index(trainer['devices'])}" if accelerator == "cuda" else accelerator)
    if precision == "auto":
        precision, reason = native_precision(device)
    else:
        _refuse_impossible(precision, accelerator)
        reason = "asked for"
    return Hardware(accelerator, device, precision, reason, _label(device))


def native_precision(device: torch.device) -> tuple[str, str]:
    """The fastest precision that trains well and that `device` computes in hardware, with the reason."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed", f"{name} computes bfloat16 in hardware"
        if torch.cuda.get_device_capability(device) >= (7, 0):
            return "16-mixed", f"{name} computes float16, not bfloat16, in hardware"
        return "32-true", f"{name} has no fast 16-bit type"
    if device.type == "cpu":
        if cpu_has_bfloat16():
            return "bf16-mixed", "this CPU computes bfloat16 in hardware"
        return "32-true", "this CPU has no bfloat16 instructions"
    return "32-true", f"the safe choice on {device.type}"


def cpu_has_bfloat16() -> bool:
    """Whether the CPU multiplies bfloat16 natively (AVX512-BF16, AMX-BF16, or Arm's BF16)."""
    have = torch.cpu.get_capabilities()
    return any(bool(have.get(feature)) for feature in ("avx512_bf16", "amx_bf16", "bf16"))


def _accelerator(asked: str) -> str:
    if asked not in ACCELERATORS:
        raise UserError(f"trainer.accelerator={asked}: no such device\nchoose one of: {', '.join(ACCELERATORS)}")
    if asked == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    if asked in ("gpu", "cuda"):
        if torch.cuda.is_available():
            return "cuda"
        if asked == "gpu" and torch.backends.mps.is_available():
            return "mps"
        raise UserError(
            f"trainer.accelerator={asked}: PyTorch {torch.__version__} finds no GPU on this machine; "
            "use device=cpu (trainer.accelerator=cpu), or install a CUDA build of PyTorch and a driver"
        )
    if asked == "mps" and not torch.backends.mps.is_available():
        raise UserError("trainer.accelerator=mps: this machine has no Apple GPU; use device=auto or device=cpu")
    return asked


def _refuse_impossible(precision: str, accelerator: str) -> None:
    if precision == "16-mixed" and accelerator == "cpu":
        raise UserError("precision=16-mixed: a CPU has no float16 mixed precision; use bf16-mixed or 32-true")
    if precision == "64-true" and accelerator == "mps":
        raise UserError("precision=64-true: Apple's GPUs have no float64; use 32-true, or device=cpu")


def _first_index(devices: Any) -> int:
    if isinstance(devices, list) and devices:
        return int(devices[0])
    return 0


def _label(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    if device.type == "cpu":
        name = str(torch.cpu.get_capabilities().get("cpu_name") or torch.backends.cpu.get_cpu_capability())
        return f"cpu ({name}, {torch.get_num_threads()} threads)"
    return str(device)
