"""What an option of `logger=` is: what is written besides `metrics.csv`, and which of Lightning's loggers listens."""

import importlib.util
from pathlib import Path
from typing import ClassVar

from lightning.pytorch.loggers import Logger

from lstm_lm.options import Options


class LoggerOptions(Options):
    """The `logger` section. Its module holds the class as the constant `LOGGER`."""

    name: str
    tensorboard: bool
    """Whether there are event files."""

    package: ClassVar[str] = ""
    """What is imported for it; as what it is installed is the extra of the option's name."""
    kind: ClassVar[str] = ""
    """The class of what `make` gives."""

    def missing(self) -> str | None:
        """What it lacks here, and what to do about it, as a line; None: nothing. No server is asked."""
        if self.package and importlib.util.find_spec(self.package) is None:
            return f'logger={self.name}: the package {self.package} is not there: pip install -e ".[{self.name}]"'
        return None

    def make(self, folder: Path, version: str | None) -> Logger | None:  # noqa: ARG002
        """The logger of the run in `folder`, which continues what the service calls `version`; None: there is none."""
        return None

    def close(self, logger: Logger, *, failed: bool) -> None:
        """The run has ended. Lightning has told the logger; this is for a service that waits for more."""


class ServiceOptions(LoggerOptions):
    """Of a service that calls each run by a name."""

    run_name: str | None

    def name_of(self, folder: Path) -> str:
        """What the service calls the run in `folder`."""
        return self.run_name or folder.resolve().name
