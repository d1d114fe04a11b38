"""Holds `compile=` to its word: graphs are counted where they run, and none may appear after the first epoch."""

from contextlib import ExitStack
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from rich.console import Console
from rich.text import Text

from lstm_lm.errors import RunError
from lstm_lm.runs.writer import NoWriter
from lstm_lm.training.compile.compilation import Compilation
from lstm_lm.training.compile.fraction import CompiledFraction
from lstm_lm.training.compile.parts import counts
from lstm_lm.training.observers.clock import WARM_UP_STEPS

WATCHED_STEPS = range(WARM_UP_STEPS - 2, WARM_UP_STEPS + 1)
"""Steps of this process, from 1, in which the compiled fraction is measured: warm, but in no median of step times."""


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
        """As far as they are known."""
        fraction = self._measured.fraction
        return CompileFigures(
            compile_graphs=self._compiled if fraction is None else len(self._measured.graphs),
            graph_breaks=counts().breaks,
            recompiles=self._recompiles,
            compile_seconds=self._compilation.seconds,
            compiled_fraction=fraction,
        )

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The first step will take its time."""
        self._say("compiling: may take minutes on a slow machine")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A window begins."""
        self._before = counts().graphs
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._steps += 1
            _begin_cuda_graphs(pl_module.device)
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
            self._say(f"compiled in {self._compilation.seconds:.1f} s")
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
        """A window of a validation begins."""
        _begin_cuda_graphs(pl_module.device)

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
        """Log it with the last step's row."""
        figures = self.figures
        values = {"runtime/compile_seconds": figures.compile_seconds, "runtime/compile_graphs": figures.compile_graphs}
        if figures.compiled_fraction is not None:
            values["runtime/compiled_fraction"] = figures.compiled_fraction
        self._writer.row(trainer.global_step, values)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """A step that failed ends its measurement too."""
        self._watching.close()

    def _say(self, text: str) -> None:
        if self._console is not None:
            self._console.print(Text(text, style="dim"))

    def _note_recompiles(self, graphs: int, where: str, trainer: pl.Trainer) -> None:
        if graphs and not self._recompiles and self._console is not None:
            text = f"compile: epoch {trainer.current_epoch + 1} compiled again, in {where}, which costs seconds"
            self._console.print(Text(f"{text}; TORCH_LOGS=recompiles says why", style="yellow"))
        self._recompiles += graphs


def _begin_cuda_graphs(device: torch.device) -> None:
    """What CUDA graphs gave in the last step may be overwritten from here on."""
    if device.type == "cuda":
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
