"""Which fraction of a training step is spent inside compiled graphs, as torch.profiler sees it.

On a CPU: the wall time inside the regions that TorchDynamo compiled and inside their backward passes, of the step's
wall time. On a GPU, which runs behind the program that feeds it: the time of the kernels that were launched in there,
of the time of all the step's kernels. The profiler slows what it watches: many small operators more than few large.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

REGION = "Torch-Compiled Region"
"""How TorchDynamo names, to the profiler, a call of a compiled graph; its number follows."""
BACKWARD = "CompiledFunctionBackward"
"""The node of the autograd graph that runs a compiled graph's backward pass."""


@dataclass
class CompiledFraction:
    """What was seen in the steps that were watched."""

    inside: float = 0.0
    """Seconds in compiled graphs."""
    total: float = 0.0
    """Seconds of the steps."""
    graphs: set[str] = field(default_factory=set)
    """Names of the compiled graphs that ran."""

    @property
    def fraction(self) -> float | None:
        """From 0 to 1; None before there is anything to divide."""
        return min(1.0, self.inside / self.total) if self.total > 0 else None

    @contextmanager
    def watch(self, device: torch.device) -> Iterator[None]:
        """Watch one step; nothing where somebody else's profiler is at work."""
        if torch.autograd.profiler._is_profiler_enabled:
            yield
            return
        on_gpu = device.type == "cuda"
        activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA] if on_gpu else [ProfilerActivity.CPU]
        quiet_kineto()
        with profile(activities=activities) as profiler:
            began = time.perf_counter()
            yield
            if on_gpu:
                torch.cuda.synchronize(device)
            seconds = time.perf_counter() - began
        events = [event for event in profiler.events() or () if event.device_type.name == "CPU"]
        self.graphs |= {event.name for event in events if event.name.startswith(REGION)}
        outermost = [event for event in events if _is_compiled(event) and not any(map(_is_compiled, _callers(event)))]
        if on_gpu:
            self.inside += sum(event.device_time_total for event in outermost) / 1e6
            self.total += sum(event.device_time_total for event in events if event.cpu_parent is None) / 1e6
        else:
            self.inside += sum(event.time_range.elapsed_us() for event in outermost) / 1e6
            self.total += seconds


def quiet_kineto() -> None:
    """Keep the profiler's notes of starting and stopping off standard error; it looks at its first start."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")


def _is_compiled(event: FunctionEvent) -> bool:
    return event.name == BACKWARD or event.name.startswith(REGION)


def _callers(event: FunctionEvent) -> Iterator[FunctionEvent]:
    while event.cpu_parent is not None:
        event = event.cpu_parent
        yield event
