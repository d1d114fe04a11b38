"""`forward=pipelined`: layers work at the same time, each on another part of the window.

The window is cut into chunks; cell (layer, chunk) is one call of the vendor's kernel. The cells of an anti-diagonal do
not need each other and run at once: on CPU threads, on CUDA streams, or on several devices with the layers spread over
them. So does the backward pass. See `grid/`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from lstm_lm.cells.interface import Cell
from lstm_lm.errors import UserError
from lstm_lm.forward import costs, trials
from lstm_lm.forward.grid import schedule, window
from lstm_lm.forward.grid.kernels import AnyVendor, OneDNN
from lstm_lm.forward.grid.placement import balanced, find_devices
from lstm_lm.forward.grid.streams import Streams
from lstm_lm.forward.grid.threads import Workers
from lstm_lm.forward.interface import (
    ForwardOptions,
    Masks,
    Stack,
    StackSpec,
    StackState,
    Strategy,
    Workload,
)
from lstm_lm.forward.strategies.fused import Fused, asked_of
from lstm_lm.limits import usable_cores


class PipelinedOptions(ForwardOptions):
    """`forward=pipelined`."""

    chunk: Annotated[int, Field(ge=1)] | None
    workers: Annotated[int, Field(ge=1, le=1024)] | None
    devices: Annotated[list[str], Field(min_length=1)] | None


class Pipelined(Strategy):
    """The grid of (layer, chunk) cells."""

    name: ClassVar[str] = "pipelined"
    OptionsType = PipelinedOptions

    def __init__(
        self, chunk: int | None = None, workers: int | None = None, devices: Sequence[str] | None = None
    ) -> None:
        """Decide what is not None.

        Args:
            chunk: steps of a chunk; None: by the rule of `grid/schedule.py`.
            workers: CPU threads; None: as many as an operation has, but no more than cores or layers.
            devices: what the layers are spread over; None: where the model is.

        Raises:
            UserError: a device is not there, or both workers and devices are named.
        """
        if workers is not None and devices is not None:
            raise UserError(
                f"forward.workers={workers} and forward.devices exclude each other: with devices named, "
                "each has one worker"
            )
        self._chunk, self._asked_workers = chunk, workers
        self._named = None if devices is None else find_devices(tuple(devices))
        self._executors: dict[tuple[torch.device, ...], Workers | Streams] = {}

    def supports(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> str | None:
        """What the vendor's kernel computes, on CPUs and CUDA devices."""
        for place in {device} if self._named is None else {*self._named}:
            if place.type not in ("cpu", "cuda"):
                return f"it runs on CPU threads, CUDA streams and several such devices, not on {place.type}"
            if (reason := Fused().supports(spec, place, dtype)) is not None:
                return reason
        if self._named is not None and len(self._named) > spec.num_layers:
            return f"{len(self._named)} devices for {spec.num_layers} layers: name at most one device a layer"
        return None

    def cost(self, spec: StackSpec, device: torch.device, workload: Workload) -> float:
        workers = self._workers(spec)
        if device.type != "cpu" or workload.steps == 1 or workers == 1:
            return math.inf  # not chosen by auto: cuDNN overlaps layers too; one step or worker has nothing to overlap
        workload = replace(workload, dtype=trials.computed_in(spec.cell, [device], workload.dtype))
        chunking, (step, call) = self._chunking(spec, workload, workers), _most_expensive(spec, workload)
        passes = 2 if workload.training else 1
        return passes * costs.GRID + step * schedule.makespan(chunking, spec.num_layers, workers, call / step)

    def place(self, spec: StackSpec, root: torch.device) -> tuple[torch.device, ...]:
        if self._named is None:
            return (root,) * spec.num_layers
        runs = balanced(spec, len(self._named))
        return tuple(device for device, run in zip(self._named, runs, strict=True) for _ in run)

    def details(self, spec: StackSpec, device: torch.device, workload: Workload) -> str:
        """Workers, the longest chunk, and which layers (from 0) are on which device."""
        places = self.place(spec, device)
        streams = any(place.type == "cuda" for place in places)
        threads = self._workers(spec) if self._named is None else len(self._named)
        said = trials.said(spec.cell, places, workload.dtype)
        workload = replace(workload, dtype=trials.computed_in(spec.cell, places, workload.dtype))
        chunking = self._chunking(spec, workload, spec.num_layers if streams else threads)
        how = "CUDA streams" if streams else f"{threads} {'worker' if threads == 1 else 'workers'}"
        text = f"{how}, chunks of {max(chunking.lengths)} steps" + (f", {said}" if said else "")
        if self._named is None:
            return text
        runs = zip(self._named, balanced(spec, len(self._named)), strict=True)
        on = [f"{run[0]}-{run[-1]} on {place}" if len(run) > 1 else f"{run[0]} on {place}" for place, run in runs]
        return f"{text}, layers {', '.join(on)}"

    def run(self, stack: Stack, x: Tensor, state: StackState, masks: Masks) -> tuple[Tensor, StackState]:
        """Run `stack` over a window, cell by cell of the grid.

        Raises:
            ValueError: masks for the inside of a step, which no vendor's kernel applies.
        """
        if masks.inside:
            raise ValueError(
                "forward=pipelined cannot apply masks inside a step: choose the strategy for training again"
            )
        weights = list(stack.layers())
        devices = tuple(layer.weight_hh.device for layer in weights)
        (steps, batch), training = x.shape[:2], torch.is_grad_enabled()
        if steps == 1 and not training and {*devices} == {x.device}:
            return Fused().run(stack, x, state, masks)  # a sampling step: there is nothing to do beside it
        dtype = trials.computed_in(stack.spec.cell, devices, asked_of(x))
        executor = self._executor(devices, stack.spec)
        workers = executor.count if isinstance(executor, Workers) else stack.spec.num_layers
        chunking = self._chunking(stack.spec, Workload(batch, steps, dtype, training), workers)
        setting = window.Setting(
            chunking=chunking,
            executor=executor,
            kernel=_kernel(stack.spec.cell, devices, dtype, len(chunking.lengths)),
            masks=masks,
            state_tensors=stack.spec.cell.state_tensors,
            dtype=dtype,
            devices=devices,
            training=training,
        )
        with torch.autocast(x.device.type, enabled=False):
            y, after = window.run(setting, x, state, weights)
        return y.to(x.device, y.dtype if torch.is_autocast_enabled(x.device.type) else x.dtype), after

    def close(self) -> None:
        """End the worker threads."""
        for executor in self._executors.values():
            if isinstance(executor, Workers):
                executor.close()
        self._executors.clear()

    def _chunking(self, spec: StackSpec, workload: Workload, workers: int) -> schedule.Chunking:
        if self._chunk is not None:
            return schedule.equal_chunks(workload.steps, self._chunk)
        step, call = _most_expensive(spec, workload)
        return schedule.best_chunking(workload.steps, spec.num_layers, workers, round(call / step, 2))

    def _workers(self, spec: StackSpec) -> int:
        """Threads where all layers are on the CPU."""
        return min(self._asked_workers or min(usable_cores(), costs.threads()), spec.num_layers)

    def _executor(self, devices: tuple[torch.device, ...], spec: StackSpec) -> Workers | Streams:
        if devices not in self._executors:
            if any(device.type == "cuda" for device in devices):
                self._executors[devices] = Streams(devices)
            elif self._named is None:
                self._executors[devices] = Workers(self._workers(spec))
            else:
                self._executors[devices] = Workers(len(self._named), balanced(spec, len(self._named)))
        return self._executors[devices]


def _most_expensive(spec: StackSpec, workload: Workload) -> tuple[float, float]:
    """Microseconds of a step and of a call of the layer that costs most."""
    layer = max(costs.layers(spec), key=lambda layer: costs.vendor_step(layer, workload))
    return costs.vendor_step(layer, workload), costs.vendor_call(layer, workload)


def _kernel(cell: Cell, devices: tuple[torch.device, ...], dtype: torch.dtype, chunks: int) -> window.MakeKernel:
    if all(OneDNN.takes(cell, device, dtype) for device in {*devices}):
        return partial(OneDNN, chunks=chunks)
    return partial(AnyVendor, cell=cell)


STRATEGY = Pipelined
