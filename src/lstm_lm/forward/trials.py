"""What PyTorch's recurrent functions do on this machine, found by running each once.

A table of devices and types says what a kernel was written for; whether it runs is decided by the processor, the
driver and the build. A trial is one window of the smallest shape, forwards and backwards, made when somebody asks, once
a process.
"""

from collections.abc import Collection, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.device_memory import lacks_device_memory
from lstm_lm.forward.vendor import flatten, run_layers

KERNELS = {"MkldnnRnn": "oneDNN", "CudnnRnn": "cuDNN", "MiopenRnn": "MIOpen", "LstmMps": "Apple's"}
"""How autograd names the backward pass of each vendor's kernel, up to a suffix."""
WIDTH = 8
LONGEST_ERROR = 120


class Trial(NamedTuple):
    """What came of running a cell once."""

    kernel: str | None
    """Whose kernel ran; None: PyTorch's own loop over time, or nothing."""
    error: str | None
    """The first line of what was raised; None: it ran, forwards and backwards."""


_tried: dict[tuple[str, torch.device, torch.dtype, bool, bool], Trial] = {}
"""By cell, device, type, and whether oneDNN and cuDNN are switched on. torch.compile warns of `functools.cache`."""


def run_once(cell: Cell, device: torch.device, dtype: torch.dtype) -> Trial:
    """One step of one layer of the vendors' `cell` in `dtype`, outside of autocast; nothing is drawn.

    Raises:
        RuntimeError: the device has too little memory for a trial.
    """
    key = cell.name, device, dtype, torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    if key not in _tried:
        _tried[key] = _run(cell, device, dtype)
    return _tried[key]


def computed_in(cell: Cell, devices: Collection[torch.device], asked: torch.dtype) -> torch.dtype:
    """The type in which `cell` is computed on `devices` where `asked` is asked for.

    A 16-bit type is taken where all of them compute it in hardware; elsewhere it is float32, which loses no digit:
    PyTorch's loop over time takes 16 bits on every CPU, but without such instructions it is many times slower
    (benchmarks/sixteen_bits.py). float32 and float64 are what was asked for.
    """
    if asked.itemsize == 2 and not all(_in_16_bits(cell, device, asked) for device in devices):
        return torch.float32
    return asked


def refusal(cell: Cell, device: torch.device, asked: torch.dtype) -> str | None:
    """None where `cell` runs in the type of `computed_in`, else what happened, for people to read."""
    dtype = computed_in(cell, [device], asked)
    error = run_once(cell, device, dtype).error
    return None if error is None else f"{_named(cell)} in {_name(dtype)} does not run on {device.type} here: {error}"


def said(cell: Cell, devices: Collection[torch.device], asked: torch.dtype) -> str:
    """One line where the type of the computation is not the one that was asked for; else empty."""
    dtype = computed_in(cell, devices, asked)
    if dtype == asked:
        return ""
    return f"computes in {_name(dtype)}: no kernel here computes {_named(cell)} in {_name(asked)}"


def products_in_hardware(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether `device` multiplies in this 16-bit type: a CPU says that it has the means, and a vendor's LSTM ran in it.

    Neither alone is enough on a CPU: a hypervisor may keep its instructions back, and oneDNN also runs bfloat16 on
    AVX-512 without them.
    """
    if device.type == "cpu":
        have = torch.cpu.get_capabilities()
        if not any(bool(have.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16")):
            return False
    return run_once(LSTM, device, dtype).kernel is not None


def _in_16_bits(cell: Cell, device: torch.device, dtype: torch.dtype) -> bool:
    """By a vendor's kernel, or by PyTorch's loop where that is what runs this cell in float32, too."""
    tried = run_once(cell, device, dtype)
    has_kernel = tried.kernel is not None or run_once(cell, device, torch.float32).kernel is None
    return tried.error is None and has_kernel and products_in_hardware(device, dtype)


def _run(cell: Cell, device: torch.device, dtype: torch.dtype) -> Trial:
    try:
        with torch.autocast(device.type, enabled=False), torch.inference_mode(False), torch.enable_grad():
            weights, y = _window(cell, device, dtype)
            kernel = next((kernel for node in _nodes(y) if (kernel := _kernel(node))), None)
            torch.autograd.grad(y.sum(), weights)
            y.sum().item()  # a GPU reports its errors late
    except (RuntimeError, TypeError, AssertionError) as error:  # AssertionError: a build without the device
        if lacks_device_memory(error):  # which is of the moment
            raise
        line = next(iter(str(error).splitlines()), "") or type(error).__name__
        return Trial(None, line if len(line) <= LONGEST_ERROR else line[:LONGEST_ERROR].rsplit(" ", 1)[0] + " ...")
    return Trial(kernel, None)


def _window(cell: Cell, device: torch.device, dtype: torch.dtype) -> tuple[list[Tensor], Tensor]:
    rows = cell.gates * WIDTH
    weights = [
        torch.zeros(shape, device=device, dtype=dtype, requires_grad=True)
        for shape in ((rows, WIDTH), (rows, WIDTH), (rows,), (rows,))
    ]
    if device.type == "cuda" and torch._use_cudnn_rnn_flatten_weight():  # else it warns that it copies them
        flatten(cell.name, weights, num_layers=1)
    x, *state = (torch.zeros(1, 1, WIDTH, device=device, dtype=dtype) for _ in range(1 + cell.state_tensors))
    return weights, run_layers(cell.name, x, tuple(state), weights, num_layers=1, train=True)[0]


def _nodes(y: Tensor) -> Iterator[torch.autograd.graph.Node]:
    """The operations that made `y`."""
    found, todo = set(), [y.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in found:
            continue
        found.add(node)
        yield node
        todo += [before for before, _ in node.next_functions]


def _kernel(node: torch.autograd.graph.Node) -> str | None:
    return next((vendor for prefix, vendor in KERNELS.items() if node.name().startswith(prefix)), None)


def _named(cell: Cell) -> str:
    return cell.name.partition("_")[0].upper()


def _name(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")
