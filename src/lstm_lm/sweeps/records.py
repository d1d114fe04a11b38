"""What is written down about each run of a row: the commands that made it, how each ended, and on what machine."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lstm_lm.errors import UserError
from lstm_lm.runs import atomic, summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.regular_file import read_regular
from lstm_lm.runs.summary import Summary

Status = Literal["completed", "skipped", "failed", "interrupted"]


class Stage(BaseModel):
    """One command of a row's run: `train`, or a step after it. `key` is the hash of what it ran."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str
    command: str
    status: Status
    reason: str | None
    seconds: float
    ended: str
    """When, as `2026-01-31T12:00:00`."""


class Record(BaseModel):
    """One run of a row: its stages by name, in order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    machine: str
    stages: dict[str, Stage]

    @property
    def status(self) -> Status:
        """Of the whole: that of the stage that did not end well, if there is one."""
        return next((stage.status for stage in self.stages.values() if stage.status != "completed"), "completed")

    @property
    def reason(self) -> str | None:
        """Why it did not end well."""
        return next((stage.reason for stage in self.stages.values() if stage.status != "completed"), None)

    @property
    def seconds(self) -> float:
        """Wall time of all its processes."""
        return sum(stage.seconds for stage in self.stages.values())

    def write(self, path: Path) -> None:
        """Make this the content of `path`, all or nothing.

        Raises:
            RunError: the file cannot be written.
        """
        atomic.write_text(path, self.model_dump_json(indent=2) + "\n")


def read(path: Path) -> Record | None:
    """The record in `path`; None where there is none, or none that is whole: the run is then done again."""
    try:
        return Record.model_validate_json(read_regular(path))
    except (OSError, ValidationError):
        return None


def settle_summary(run: RunDirectory, command: str, seed: int, status: Status, reason: str) -> None:
    """Have the run's `summary.json` say how it ended, where the process itself could not, or was refused.

    Raises:
        RunError: it cannot be written.
    """
    try:
        said = summary.read(run.summary)
    except UserError:
        said = Summary.begin(command, seed)
    if said.status in ("completed", "stopped"):  # training itself was well: a later step was not
        return
    said.status, said.reason = status, reason
    run.path.mkdir(parents=True, exist_ok=True)
    said.write(run.summary)
