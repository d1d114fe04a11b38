"""A short training of a throw-away model: Lightning takes the steps that the run will take, and nothing is written."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import LambdaCallback

from lstm_lm.training.build import Parts
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.signals import StopSignals

AS_THE_RUN = ("accumulate_grad_batches", "gradient_clip_val", "gradient_clip_algorithm")
"""Keys of the `trainer` section that a step depends on."""


def fit(config: TrainConfig, parts: Parts, signals: StopSignals, enough: Callable[[LanguageModelTask], bool]) -> None:
    """Train, from the text's beginning and with a new optimizer; the weights stay as the last step left them.

    Args:
        config: the configuration.
        parts: what is trained.
        signals: ends it.
        enough: is called with the task after each optimizer step, and says whether it was the last one.

    Raises:
        Interrupted: a signal came.
    """
    device = parts.hardware.device
    in_cuda_graphs = config.compile.enabled and device.type == "cuda"

    def window_begins(trainer: pl.Trainer, task: LanguageModelTask, batch: Any, batch_idx: int) -> None:  # noqa: ARG001
        if in_cuda_graphs and batch_idx % trainer.accumulate_grad_batches == 0:
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]

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
