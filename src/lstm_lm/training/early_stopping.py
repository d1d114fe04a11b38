"""Lightning's early stopping, with the configuration's patience."""

from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import EarlyStopping

from lstm_lm.errors import UserError
from lstm_lm.training.config import EarlyStoppingOptions
from lstm_lm.training.module import LanguageModelTask


class PatientStopping(EarlyStopping):
    """Ends training after `patience` validations without a better loss.

    Lightning's own takes the patience, too, from the checkpoint.
    """

    def __init__(self, options: EarlyStoppingOptions) -> None:
        assert options.patience is not None
        super().__init__(
            monitor="val/loss",
            patience=options.patience,
            min_delta=options.min_delta,
            check_on_train_epoch_end=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """How long the loss has not got better, and what the best was."""
        return {"best": float(self.best_score), "waited": self.wait_count}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what `state_dict` gave.

        Raises:
            UserError: it did not give this.
        """
        best, waited = state_dict.get("best"), state_dict.get("waited")
        if type(best) is not float or type(waited) is not int or waited < 0:
            raise UserError(
                f"the checkpoint's early stopping is not valid: {state_dict!r:.200}\n"
                "use another checkpoint, or init_from= to start from its weights alone"
            )
        self.best_score, self.wait_count = torch.tensor(best), waited

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, LanguageModelTask)
        if pl_module.scores_other_tokens:  # no loss before it can be compared
            self.best_score, self.wait_count = torch.tensor(torch.inf), 0
        super().on_validation_end(trainer, pl_module)
