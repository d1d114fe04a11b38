"""`logger=wandb`: Weights & Biases. A resumed run goes on in its W&B run."""

import os
from pathlib import Path
from typing import ClassVar

from lightning.pytorch.loggers import Logger, WandbLogger

from lstm_lm.training.loggers.interface import ServiceOptions

NEEDS_NO_KEY = ("offline", "dryrun", "disabled")
"""Values of WANDB_MODE."""


class WeightsAndBiases(ServiceOptions):
    """Lightning's WandbLogger."""

    project: str
    entity: str | None
    offline: bool
    package: ClassVar[str] = "wandb"
    kind: ClassVar[str] = WandbLogger.__name__

    def missing(self) -> str | None:
        """W&B itself knows where keys may be; it asks no server and nobody at the terminal."""
        lacks = super().missing()
        if lacks is not None or self.offline or os.environ.get("WANDB_MODE") in NEEDS_NO_KEY:
            return lacks
        import wandb  # type: ignore[import-not-found, unused-ignore]

        if wandb.login(prompt=False, verify=False):
            return None
        return "logger=wandb: no API key: wandb login, or set WANDB_API_KEY, or keep it here: logger.offline=true"

    def make(self, folder: Path, version: str | None) -> Logger:
        """Its files lie in the run directory, below `wandb/`."""
        name = self.name_of(folder)
        return WandbLogger(name, folder, version, self.offline, project=self.project, entity=self.entity)

    def close(self, logger: Logger, *, failed: bool) -> None:
        """Else the next run of this process would go on in this one."""
        assert isinstance(logger, WandbLogger)
        logger.experiment.finish(exit_code=int(failed))


LOGGER = WeightsAndBiases
