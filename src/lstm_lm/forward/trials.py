"""What PyTorch's recurrent functions do on this machine, found by running each once.

A table of devices and types says what a kernel was written for; whether it runs is decided by the processor, the
driver and the build. A trial is one window of the smallest shape, forwards and backwards, made when somebody asks, once
a process: a few milliseconds, more where it is the first use of the vendor's library.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from lstm_lm.cells.interface import Cell
from lstm_lm.cells.lstm import LSTM
from lstm_lm.forward.interface import Workload
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


TRIED: dict[tuple[Cell, torch.device, torch.dtype, bool, bool], Trial] = {}
"""By cell, device, type, and whether oneDNN and cuDNN are switched on. torch.compile warns of `functools.cache`."""


def run_once(cell: Cell, device: torch.device, dtype: torch.dtype) -> Trial:
    """One step of one layer of `cell`, which vendors compute, in `dtype` and outside of autocast; nothing is drawn."""
    key = cell, device, dtype, torch._C._get_mkldnn_enabled(), torch._C._get_cudnn_enabled()
    if key not in TRIED:
        TRIED[key] = _run(cell, device, dtype)
    return TRIED[key]


def computed_in(cell: Cell, device: torch.device, asked: torch.dtype) -> torch.dtype | None:
    """The type in which `cell` is computed on `device` where `asked` is asked for; None: it cannot be.

    A 16-bit type is computed by a vendor's kernel or not at all: PyTorch's loop takes it on every CPU, but on one
    without such instructions many times slower than float32 (benchmarks/sixteen_bits.py), which loses no digit.
    float32 and float64 are what was asked for, or refused.
    """
    if asked.itemsize == 2 and not _in_16_bits(cell, device, asked):
        asked = torch.float32
    return asked if run_once(cell, device, asked).error is None else None


def as_computed(cell: Cell, device: torch.device, workload: Workload) -> Workload:
    """The same work in the type of `computed_in`."""
    return replace(workload, dtype=computed_in(cell, device, workload.dtype) or workload.dtype)


def refusal(cell: Cell, device: torch.device, asked: torch.dtype) -> str | None:
    """None where `computed_in` finds a type, else why there is none, for people to read."""
    if computed_in(cell, device, asked) is not None:
        return None
    wide = torch.float32 if asked.itemsize == 2 else asked
    return f"{_named(cell)} in {_name(wide)} does not run on {device.type} here: {run_once(cell, device, wide).error}"


def said(cell: Cell, device: torch.device, asked: torch.dtype) -> str:
    """One line where the type of the computation is not the one that was asked for; else empty."""
    kind = computed_in(cell, device, asked)
    if kind in (asked, None):
        return ""
    return f"computes in {_name(kind)}: no kernel here computes {_named(cell)} in {_name(asked)}"


def _in_16_bits(cell: Cell, device: torch.device, dtype: torch.dtype) -> bool:
    """By a vendor's kernel; or by PyTorch's loop, where that runs float32 too and products have a kernel."""
    tried = run_once(cell, device, dtype)
    if tried.error is not None:
        return False
    if tried.kernel is not None:
        return True
    loops_anyway = run_once(cell, device, torch.float32).kernel is None
    return loops_anyway and run_once(LSTM, device, dtype).kernel is not None


def _run(cell: Cell, device: torch.device, dtype: torch.dtype) -> Trial:
    try:
        with torch.autocast(device.type, enabled=False), torch.inference_mode(False), torch.enable_grad():
            weights, y = _window(cell, device, dtype)
            kernel = next((kernel for node in _nodes(y) if (kernel := _kernel(node))), None)
            torch.autograd.grad(y.sum(), weights)
            y.sum().item()  # a GPU reports its errors late
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, TypeError, AssertionError) as error:  # AssertionError: a build without the device
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
        with torch.no_grad():
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
