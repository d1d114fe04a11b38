"""The validation that was due when a checkpoint was written is made up for when it is continued."""

import lightning.pytorch as pl

from lstm_lm.training.module import LanguageModelTask


class DueValidation(pl.Callback):
    """last.ckpt is written before a validation, which may be long; Lightning, continuing from it, leaves that one out.

    But early stopping and averaging go by every validation: without it, a resumed run would not take the steps that the
    whole run takes.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate, as Lightning does within an epoch, before the first step."""
        assert isinstance(pl_module, LanguageModelTask)
        if not pl_module.validation_is_due:
            return
        loop = trainer.fit_loop.epoch_loop.val_loop
        loop.restarting = False
        trainer.validating = True
        loop.run()
        trainer.training = True
