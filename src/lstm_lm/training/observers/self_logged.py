"""What other people's callbacks log (Lightning's `log`) joins `metrics.csv`; loggers have it from Lightning."""

from typing import Any

import lightning.pytorch as pl

from lstm_lm.runs.metrics_file import STEP
from lstm_lm.runs.no_writer import NoWriter
from lstm_lm.training.module import LanguageModelTask


class SelfLogged(pl.Callback):
    """Behind those callbacks, and before the checkpoint of the step. A name that a run itself records stays the run's.

    Lightning sends such values to loggers behind the checkpoint, so a logger of our own would come too late.
    """

    def __init__(self, writer: NoWriter) -> None:
        self._writer = writer

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, LanguageModelTask)
        if pl_module.at_step_boundary(batch_idx) and trainer.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            self._join(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._join(trainer)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._join(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._join(trainer)

    def _join(self, trainer: pl.Trainer) -> None:
        step, row = trainer.global_step, self._writer.open_row
        taken = row if row.get(STEP) == step else {}
        logged = trainer._logger_connector.metrics["log"]  # of the loop that runs; logged_metrics has older ones, too
        values = {name: float(value) for name, value in logged.items() if name not in taken}
        self._writer.row(step, values)
