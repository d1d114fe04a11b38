"""Holds `compile=` to its word: graphs are counted where they run, and none may appear after the first epoch."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from rich.console import Console
from rich.text import Text
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from lstm_lm.durations import duration
from lstm_lm.errors import RunError
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.training.compile.compilation import Compilation, counts
from lstm_lm.training.observers.clock import WARM_UP_STEPS

WATCHED_STEPS = range(WARM_UP_STEPS - 2, WARM_UP_STEPS + 1)
"""Steps of this process, from 1, in which the compiled fraction is measured: warm, but in no median of step times."""
REGION = "Torch-Compiled Region"
"""How TorchDynamo names, to the profiler, a call of a compiled graph; its number follows."""
BACKWARD = "CompiledFunctionBackward"
"""The node of the autograd graph that runs a compiled graph's backward pass."""


@dataclass
class CompiledFraction:
    """Which fraction of the steps that are watched is spent inside compiled graphs, as torch.profiler sees it.

    On a CPU: the wall time inside the regions that TorchDynamo compiled and inside their backward passes, of the step's
    wall time. On a GPU, which runs behind the program that feeds it: the time of the kernels that were launched in
    there, of the time of all the step's kernels. The profiler slows what it watches: many small operators more than few
    large.
    """

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


class CompileFigures(NamedTuple):
    """What `summary.json` says about torch.compile, by its names there."""

    compile_graphs: int = 0
    """Compiled graphs that the training step runs; in a run too short to be measured, all that its steps compiled."""
    graph_breaks: int = 0
    recompiles: int = 0
    """Graphs compiled in training after the first epoch, or in a validation after the first one."""
    compile_seconds: float = 0.0
    """Wall time spent compiling."""
    compiled_fraction: float | None = 0.0
    """Of the training step's time, 0 to 1, inside compiled graphs; None where the run was too short to measure it."""


class CompileWatch(pl.Callback):
    """Counts and times what torch.compile does in a run, and ends one in which it does nothing."""

    def __init__(self, compilation: Compilation, writer: NoWriter, console: Console | None = None) -> None:
        self._compilation = compilation
        self._writer = writer
        self._console = console
        self._measured = CompiledFraction()
        self._watching = ExitStack()
        self._steps = 0
        self._epochs = 0
        self._validations = 0
        self._before = 0
        self._compiled = 0
        self._recompiles = 0

    @property
    def figures(self) -> CompileFigures:
        """What is known by now."""
        fraction = self._measured.fraction
        return CompileFigures(
            compile_graphs=self._compiled if fraction is None else len(self._measured.graphs),
            graph_breaks=counts().breaks,
            recompiles=self._recompiles,
            compile_seconds=self._compilation.seconds,
            compiled_fraction=fraction,
        )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._say("compiling: may take minutes on a slow machine")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        self._before = counts().graphs
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._steps += 1
            begin_cuda_graphs(pl_module.device)
        if self._steps in WATCHED_STEPS and trainer.is_global_zero:
            self._watching.enter_context(self._measured.watch(pl_module.device))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Something must have been compiled in the first one, in time, and nothing after the first epoch.

        Raises:
            RunError: nothing was compiled, or compiling took too long.
        """
        self._watching.close()
        first, new = not self._compiled, counts().graphs - self._before
        self._compiled += new
        self._compilation.check_time()
        if not self._compiled:
            raise RunError(
                f"compile={self._compilation.options.mode}: no graph was compiled in the first training step: "
                "all of it runs eagerly\nuse compile=none, or another model= or forward="
            )
        if first:
            self._say(f"compiled in {duration(self._compilation.seconds)}")
        if self._epochs:
            self._note_recompiles(new, "training", trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """All shapes of a window have been seen, the ragged last one's too."""
        self._epochs += 1

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Without gradients other graphs run: those of the first validation are due."""
        self._before = counts().graphs

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        begin_cuda_graphs(pl_module.device)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """No later validation needs other graphs than the first one.

        Raises:
            RunError: compiling took too long.
        """
        if trainer.sanity_checking:
            return
        self._compilation.check_time()
        if self._validations:
            self._note_recompiles(counts().graphs - self._before, "validation", trainer)
        self._validations += 1

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        figures = self.figures
        values = {"runtime/compile_seconds": figures.compile_seconds, "runtime/compile_graphs": figures.compile_graphs}
        if figures.compiled_fraction is not None:
            values["runtime/compiled_fraction"] = figures.compiled_fraction
        self._writer.row(trainer.global_step, values)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._watching.close()

    def _say(self, text: str) -> None:
        if self._console is not None:
            self._console.print(Text(text, style="dim"))

    def _note_recompiles(self, graphs: int, where: str, trainer: pl.Trainer) -> None:
        if graphs and not self._recompiles and self._console is not None:
            text = f"compile: epoch {trainer.current_epoch + 1} compiled again, in {where}, which costs seconds"
            self._console.print(Text(f"{text}; TORCH_LOGS=recompiles says why", style="yellow"))
        self._recompiles += graphs


def begin_cuda_graphs(device: torch.device) -> None:
    """Let CUDA graphs overwrite from here on what they returned in the last step."""
    if device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
