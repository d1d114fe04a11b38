"""What Lightning leaves out when it continues from a checkpoint that was written in its loop."""

import lightning.pytorch as pl

from lstm_lm.training.module import LanguageModelTask


class Continuing(pl.Callback):
    """The validation that was due, and the beginning of an epoch behind a last window.

    last.ckpt is written before a validation, which may be long, and early stopping and averaging go by every one.

    Continuing from an epoch's last window, Lightning counts that epoch, and then takes the next one for begun: it is
    not counted as such, so a second interruption in it would train one epoch more.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the first step; validate as Lightning does within an epoch."""
        assert isinstance(pl_module, LanguageModelTask)
        fit, windows = trainer.fit_loop, trainer.fit_loop.epoch_loop
        if fit.restarted_mid_epoch and windows.restarted_on_train_batch_end and windows.batch_progress.is_last_batch:
            fit.reset_restart_stage()
        if not pl_module.validation_is_due:
            return
        windows.val_loop.restarting = False
        trainer.validating = True
        windows.val_loop.run()
        trainer.training = True
