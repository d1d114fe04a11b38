"""What a run does besides its steps, timed on a throw-away model: validations, samples, checkpoints, its end."""

import time
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import LambdaCallback

from lstm_lm.data.corpora.interface import Split
from lstm_lm.synchronize import synchronize
from lstm_lm.training.build import Parts
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.observers.samples import write_sample
from lstm_lm.training.signals import StopSignals
from lstm_lm.training.tuning.schedule import Costs

WINDOWS = 6
"""Of the validation split, that are timed."""
TOKENS = 10
"""Of a sample, likewise."""
CHECKPOINT, CHECKPOINT_OF_A_PARAMETER = 0.05, 1.5e-7
"""Seconds to write last.ckpt and best.ckpt: at least, and for each parameter, which has two averages beside it."""
END = 0.5
"""Seconds to read the best checkpoint and write the summary."""


def time_around_steps(config: TrainConfig, parts: Parts, signals: StopSignals, begin: float) -> Costs:
    """Costs of a run with `parts`, whose first step follows after `begin` seconds.

    Raises:
        Interrupted: a signal came.
    """
    ends: list[float] = []

    def window_ends(*_: Any) -> None:
        synchronize(parts.hardware.device)
        ends.append(time.perf_counter())
        signals.check()

    trainer = pl.Trainer(
        accelerator=parts.hardware.accelerator,
        devices=[parts.hardware.device.index or 0] if parts.hardware.device.type == "cuda" else 1,
        precision=parts.hardware.precision,  # type: ignore[arg-type]
        limit_val_batches=WINDOWS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[LambdaCallback(on_validation_batch_end=window_ends)],
        plugins=[LightningEnvironment()],
    )
    before = time.perf_counter()
    trainer.validate(parts.task, datamodule=parts.data, verbose=False)
    first, last = (ends[0], ends[-1]) if len(ends) > 1 else (before, ends[-1])
    window = (last - first) / max(1, len(ends) - 1)
    validation = window * _windows(parts, "validation", config.trainer.get("limit_val_batches"))
    tested = "test" in parts.data.manifest.splits
    test = window * _windows(parts, "test", config.trainer.get("limit_test_batches")) if tested else 0.0
    sample = _sample(config, parts, trainer)
    checkpoint = CHECKPOINT + CHECKPOINT_OF_A_PARAMETER * parts.model.num_parameters()
    of_steps = checkpoint / config.callbacks.checkpoint.every_n_steps
    if rhythm := config.callbacks.samples.every_n_steps:  # else a sample follows each validation
        of_steps += sample / rhythm
    while_training = validation + checkpoint + (0.0 if rhythm else sample)
    return Costs(begin, while_training, validation + test + sample + checkpoint + END, of_steps)


def _windows(parts: Parts, split: Split, limit: int | float | None) -> float:
    """How many of `split` are scored."""
    windows = len(parts.data.eval_windows(split))
    return windows if limit is None else windows * limit if isinstance(limit, float) else min(windows, limit)


def _sample(config: TrainConfig, parts: Parts, trainer: pl.Trainer) -> float:
    options = config.callbacks.samples
    if not options.length:
        return 0.0
    parts.task.to(parts.hardware.device)  # Lightning leaves it on the CPU
    few = options.model_copy(update={"length": min(TOKENS, options.length)})
    before = time.perf_counter()
    with trainer.precision_plugin.forward_context():
        write_sample(parts.task, few, parts.data.tokenizer, seed=config.top.seed)
    return (time.perf_counter() - before) * options.length / few.length
