"""When a run begins to change what was there before it: once a step is behind it, and not a moment earlier."""

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl


class Beginning(pl.Callback):
    """Calls `begin` once, after the first window: nothing can refuse the run any more. Comes before what writes."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._begun = False

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Of the first window."""
        self.begin()

    def begin(self) -> None:
        """Now, if it has not been yet: a run that is continued at its end takes no step."""
        if not self._begun:
            self._begun = True
            self._begin()
