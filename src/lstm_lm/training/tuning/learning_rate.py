"""`tune=lr`: Lightning's learning-rate finder on a throw-away copy, and a proposal drawn from its curve.

The rate rises exponentially from step to step (Smith 2017, "Cyclical learning rates for training neural networks").
What is proposed lies an order of magnitude below the rate at which the loss is lowest. Lightning's own rule is not
used: it takes the steepest slope, against the rate and not its logarithm, of a loss averaged over about fifty steps, so
that the noise at the smallest rates decides.
"""

import math
import tempfile
import time
from statistics import fmean
from typing import Any

import lightning.pytorch as pl
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.tuner.tuning import Tuner

from lstm_lm.data.streams import Batch
from lstm_lm.errors import UserError
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.training.averaging.none import NoAveraging
from lstm_lm.training.callbacks.signals import StopOnSignal
from lstm_lm.training.checkpoint_io import GuardedCheckpointIO
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.parts import Parts, build_parts
from lstm_lm.training.tuning.choice import LEARNING_RATE, as_typed
from lstm_lm.training.tuning.options import LearningRateOptions
from lstm_lm.training.weight_average import WeightAverage

WINDOW = 9
"""Steps, and so rates, over which losses are averaged."""
BELOW_THE_LOWEST = 10.0
NEVER = 2**62
"""Epochs: no validation during the search."""


def tune_learning_rate(config: TrainConfig, options: LearningRateOptions, signals: StopOnSignal) -> dict[str, Any]:
    """What is found, as plain data: what tuning.json and checkpoints hold.

    `name`, `device` (its type), `proposal` (None: there is none), `note`, `chosen` (keys of the configuration and
    values: the proposal where it is applied), `typed` (the proposal for the command line), `seconds` (that it took),
    `table` (one mapping a step: `learning_rate` and `loss`, nats per token).

    Raises:
        UserError, RunError: as `lstm_lm.training.parts.build_parts`.
        Interrupted: a signal came.
    """
    parts = build_parts(config, None)
    began = time.perf_counter()
    try:
        rates, losses = _search(config, options, parts, signals)
    finally:
        parts.model.close()
    proposal, note = propose(rates, losses, options.max_lr)
    proposed = {} if proposal is None else {LEARNING_RATE: proposal}
    return {
        "name": "lr",
        "device": parts.hardware.device.type,
        "proposal": proposal,
        "note": note,
        "chosen": proposed if options.apply else {},
        "typed": as_typed(proposed),
        "seconds": time.perf_counter() - began,
        "table": [
            {"learning_rate": rate, "loss": loss if math.isfinite(loss) else None}
            for rate, loss in zip(rates, losses, strict=True)
        ],
    }


def propose(rates: list[float], losses: list[float], max_rate: float) -> tuple[float | None, str]:
    """A rate with two digits, or None, and what is to be said about it; `losses` may end in what is no number."""
    usable = next((number for number, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    if usable < 2 * WINDOW:
        return None, f"the loss is no number after {usable} steps: try a smaller tune.min_lr"
    smooth = [fmean(losses[first : first + WINDOW]) for first in range(usable - WINDOW + 1)]
    lowest = min(range(len(smooth)), key=smooth.__getitem__)
    if lowest == 0:
        return None, "the loss falls at no rate: try a smaller tune.min_lr"
    rate = float(f"{rates[lowest + WINDOW // 2] / BELOW_THE_LOWEST:.1e}")
    if lowest == len(smooth) - 1 and usable == len(losses):
        return rate, f"the loss still falls at tune.max_lr={max_rate:g}: try a larger one"
    return rate, ""


def _search(
    config: TrainConfig, options: LearningRateOptions, parts: Parts, signals: StopOnSignal
) -> tuple[list[float], list[float]]:
    """The rate of each step and its loss, averaged over the windows that the step accumulates."""
    task = _Search(
        parts.model,
        parts.task.objective,
        config.optimizer,
        config.scheduler,
        average=WeightAverage(parts.model, NoAveraging(name="none")),  # of a search: not the run's
        total_steps=parts.total_steps,
        precision=parts.hardware.precision,
        whole_window=parts.data.options.batch_size * parts.data.options.seq_len,
        sizes=TokenSizes(parts.data.tokenizer),
        splits=parts.data.manifest.splits,
        provenance={"schema_version": SCHEMA_VERSION, "config": config.plain},
    )
    task.signals = signals
    device = parts.hardware.device
    with tempfile.TemporaryDirectory() as folder:  # the finder saves the model, to put it back
        try:
            trainer = pl.Trainer(
                accelerator=parts.hardware.accelerator,
                devices=[device.index or 0] if device.type == "cuda" else 1,
                precision=parts.hardware.precision,  # type: ignore[arg-type]
                max_epochs=-1,
                accumulate_grad_batches=config.trainer["accumulate_grad_batches"],
                gradient_clip_val=config.trainer["gradient_clip_val"],
                gradient_clip_algorithm=config.trainer["gradient_clip_algorithm"],
                check_val_every_n_epoch=NEVER,
                num_sanity_val_steps=0,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                plugins=[GuardedCheckpointIO()],
                default_root_dir=folder,
            )
            found = Tuner(trainer).lr_find(
                task,
                datamodule=parts.data,
                min_lr=options.min_lr,
                max_lr=options.max_lr,
                num_training=options.steps,
                update_attr=False,
            )
        except MisconfigurationException as error:
            raise UserError(f"tune=lr: {' '.join(str(error).split())[:300]}") from error
    assert found is not None
    steps = len(task.losses)  # the finder stops where the loss has become several times the best
    return [float(rate) for rate in found.results["lr"][:steps]], task.losses


class _Search(LanguageModelTask):
    """Keeps the losses as they are: the finder's own are averaged beyond recognition."""

    signals: StopOnSignal

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.losses: list[float] = []

    def on_train_start(self) -> None:
        """No second progress bar, and Lightning's handler of SIGTERM out of the way."""
        super().on_train_start()
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            callback.progress_bar_refresh_rate = 0
        self.signals.on_train_start(self.trainer, self)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """A step has been taken."""
        self.signals.check()
        if self.at_border(batch_idx) and self.train_loss is not None:
            self.losses.append(float(self.train_loss))
