"""`logger=comet`: Comet. A resumed run goes on in its experiment."""

import os
from pathlib import Path
from typing import ClassVar

from lightning.pytorch.loggers import CometLogger, Logger

from lstm_lm.training.loggers.interface import ServiceOptions


class Comet(ServiceOptions):
    """Lightning's CometLogger, which records nothing where it is told to do without a network."""

    project: str
    workspace: str | None
    package: ClassVar[str] = "comet_ml"
    kind: ClassVar[str] = CometLogger.__name__

    def missing(self) -> str | None:
        lacks = super().missing()
        files = (os.environ.get("COMET_CONFIG"), ".comet.config", "~/.comet.config")
        offline = os.environ.get("COMET_START_ONLINE", "").lower() in ("0", "false", "no")
        if lacks is not None or offline or os.environ.get("COMET_API_KEY"):
            return lacks
        if any(Path(file).expanduser().is_file() for file in files if file):
            return None
        return "logger=comet: no API key: comet login, or set COMET_API_KEY"

    def make(self, folder: Path, version: str | None) -> Logger:
        return CometLogger(
            workspace=self.workspace,
            project=self.project,
            experiment_key=version,
            mode="create" if version is None else "get",
            name=self.name_of(folder),
        )

    def close(self, logger: Logger, *, failed: bool) -> None:  # noqa: ARG002
        """Else the next run of this process would go on in this one."""
        assert isinstance(logger, CometLogger)
        logger.experiment.end()


LOGGER = Comet
