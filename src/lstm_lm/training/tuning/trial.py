"""Short trainings of a throw-away model: Lightning takes the steps that the run will take, and nothing is written."""

import gc
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import LambdaCallback

from lstm_lm.data.module import TextDataModule
from lstm_lm.errors import RunError
from lstm_lm.synchronize import synchronize
from lstm_lm.training.build import Parts, build_compiled
from lstm_lm.training.compile.compilation import Compilation
from lstm_lm.training.compile.watch import begin_cuda_graphs
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.plan import Plan
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning.around_steps import time_around_steps
from lstm_lm.training.tuning.candidates import TrialFailed
from lstm_lm.training.tuning.schedule import Costs

AS_THE_RUN = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm")
"""Keys of the `trainer` section that a step depends on."""
LEAD_STEPS, LEAD_STEPS_OF_CUDA_GRAPHS = 1, 3
"""Steps before those that count: memory is fetched, caches hold another's data; and graphs are recorded again."""


class StepTrial:
    """One candidate: a fresh model that is ready to train as a plan says, timed on the real windows."""

    def __init__(
        self,
        plan: Plan,
        data: TextDataModule,
        signals: StopSignals,
        patience: float = math.inf,
    ) -> None:
        """Build it on the text `data`, and warm it up; no step of a timing begins `patience` seconds after the first.

        Raises:
            UserError: this model cannot run like that here.
            TrialFailed: it cannot be compiled, or not in time.
        """
        config = plan.config
        self._config, self._signals, self._patience = config, signals, patience
        try:
            with ExitStack() as undo:
                self._set_threads()
                compilation = undo.enter_context(Compilation(config.compile))
                self._parts = build_compiled(plan, data=data)
                undo.callback(self._give_back)
                self.time(1)
                self._undo = undo.pop_all()
        except RunError as error:
            raise TrialFailed(str(error)) from error
        self.compile_seconds = compilation.seconds

    def time(self, steps: int) -> float:
        self._set_threads()
        device, patience = self._parts.hardware.device, self._patience
        in_graphs = self._config.compile.enabled and device.type == "cuda"
        lead = LEAD_STEPS_OF_CUDA_GRAPHS if in_graphs else LEAD_STEPS
        began, taken, mean = time.perf_counter(), 0, math.nan

        def enough(task: LanguageModelTask) -> bool:  # noqa: ARG001
            nonlocal began, taken, mean, lead
            taken += 1
            ended = taken == lead + steps or time.perf_counter() - began > patience
            if ended or taken == lead:
                synchronize(device)
                mean = (time.perf_counter() - began) / taken
            if taken == lead and not ended:
                began, taken, lead = time.perf_counter(), 0, 0
            return ended

        fit(self._config, self._parts, self._signals, enough)
        return mean

    def time_around_steps(self, begin: float) -> Costs:
        """What a run of it does besides its steps; its first one follows after `begin` seconds."""
        self._set_threads()
        return time_around_steps(self._config, self._parts, self._signals, begin)

    def close(self) -> None:
        self._undo.close()

    def _set_threads(self) -> None:
        if self._config.runtime.threads is not None:
            torch.set_num_threads(self._config.runtime.threads)

    def _give_back(self) -> None:
        self._parts.model.close()
        on_gpu = self._parts.hardware.device.type == "cuda"
        del self._parts
        gc.collect()  # compiled modules refer to themselves
        if on_gpu:
            torch.cuda.empty_cache()


def fit(config: TrainConfig, parts: Parts, signals: StopSignals, enough: Callable[[LanguageModelTask], bool]) -> None:
    """Train, from the text's beginning and with a new optimizer, until `enough`, called after each step, returns True.

    The weights stay as the last step left them.

    Raises:
        Interrupted: a signal came.
    """
    device = parts.hardware.device

    def window_begins(trainer: pl.Trainer, task: LanguageModelTask, batch: Any, batch_idx: int) -> None:  # noqa: ARG001
        if config.compile.enabled and batch_idx % trainer.accumulate_grad_batches == 0:
            begin_cuda_graphs(device)

    def window_ends(trainer: pl.Trainer, task: LanguageModelTask, *window: Any) -> None:
        if task.at_step_boundary(window[-1]):
            signals.check()
            trainer.should_stop = enough(task)

    parts.task.nonfinite = None  # too large a rate is no fault here
    trainer = pl.Trainer(
        accelerator=parts.hardware.accelerator,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        precision=parts.hardware.precision,  # type: ignore[arg-type]
        max_epochs=-1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[
            LambdaCallback(
                on_train_start=lambda *_: signals.listen(),  # Lightning has put its own handler in front
                on_train_batch_start=window_begins,
                on_train_batch_end=window_ends,
            )
        ],
        plugins=[LightningEnvironment()],  # else Lightning would take a SLURM job's other tasks for its own
        **{key: config.trainer[key] for key in AS_THE_RUN},
    )
    trainer.fit(parts.task, datamodule=parts.data)
