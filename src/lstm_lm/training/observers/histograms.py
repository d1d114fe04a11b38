"""Weights and gradients as TensorBoard histograms."""

import lightning.pytorch as pl
from torch.optim import Optimizer

from lstm_lm.runs.writer import NoWriter


class Histograms(pl.Callback):
    """Records both every `every_n_steps` optimizer steps, when gradients are whole and unscaled."""

    def __init__(self, writer: NoWriter, *, every_n_steps: int) -> None:
        self._writer = writer
        self._every = every_n_steps

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Gradients as they are before clipping."""
        if trainer.global_step % self._every:
            return
        for name, parameter in pl_module.named_parameters():
            self._writer.histogram(f"weights/{name}", parameter.detach(), trainer.global_step)
            if parameter.grad is not None:
                self._writer.histogram(f"gradients/{name}", parameter.grad, trainer.global_step)
