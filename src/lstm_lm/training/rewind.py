"""Back to the last checkpoint's weights, while the text goes on: `on_nonfinite=rewind`."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lstm_lm.runs import checkpoint_file
from lstm_lm.training.optimizers import beside_parameters
from lstm_lm.training.weight_average import WeightAverage


def rewind(task: pl.LightningModule, optimizer: Any, average: WeightAverage, checkpoint: Path) -> None:
    """Weights, optimizer and average as `checkpoint` has them; schedule and place in the text stay where they are.

    Raises:
        UserError: the checkpoint is damaged.
    """
    saved = checkpoint_file.load(checkpoint)
    task.load_state_dict(saved["state_dict"])
    scheduled = [{key: group[key] for key in group if key != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(saved["optimizer_states"][0])
    for group, values in zip(optimizer.param_groups, scheduled, strict=True):
        group.update(values)
    beside_parameters(optimizer)
    average.load_state_dict(saved[checkpoint_file.SECTION]["averaging"])
    average.beside_parameters()
