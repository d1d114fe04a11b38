"""`logger=mlflow`: MLflow, on a server or in a database file. A resumed run goes on in its MLflow run."""

import os
from pathlib import Path
from typing import ClassVar

from lightning.pytorch.loggers import Logger, MLFlowLogger

from lstm_lm.training.loggers.interface import ServiceOptions


class MLflow(ServiceOptions):
    """Lightning's MLFlowLogger."""

    experiment: str
    tracking_uri: str | None
    package: ClassVar[str] = "mlflow"
    kind: ClassVar[str] = MLFlowLogger.__name__

    def make(self, folder: Path, version: str | None) -> Logger:
        """Without an address, all runs of a folder share one database file."""
        file = folder.resolve().parent / "mlflow.db"
        uri = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{file.as_posix()}"
        return MLFlowLogger(self.experiment, self.name_of(folder), uri, run_id=version)


LOGGER = MLflow
