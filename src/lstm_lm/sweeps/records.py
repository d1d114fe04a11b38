"""What is written down beside the run of a row: what it is of, its commands, how each ended, and on what machine."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from lstm_lm.runs import atomic
from lstm_lm.runs.regular_file import read_regular

Status = Literal["running", "completed", "skipped", "failed", "interrupted"]


class Stage(BaseModel):
    """One command of a row's run: `train`, or a step after it. `key` is the hash of what it ran."""

    model_config = ConfigDict(extra="forbid", strict=True)

    key: str
    command: str
    status: Status
    reason: str | None = None
    exit_status: int | None = None
    """Of its process; negative: the number of the signal that ended it; None: there is none yet."""
    seconds: float = 0.0
    """Wall time of its process."""
    ended: str
    """When, as `2026-01-31T12:00:00`; of a stage that is running, when it began."""


class Record(BaseModel):
    """One run of a row: its stages by name, in order."""

    model_config = ConfigDict(extra="forbid", strict=True)

    label: str
    """What tells the row from the others, for people."""
    number: int
    """Of the job in its sweep, or of the repetition; from 1."""
    row: dict[str, Any]
    """What the key of its training is the hash of, flat: configuration, digests of what is read, versions of code."""
    machine: str
    attempt: str
    """Which command has last come by here: all that one command runs has the same."""
    refused: str | None = None
    """Why that command was refused, and left everything as it was; the stages are an earlier one's then."""
    stages: dict[str, Stage]

    @property
    def status(self) -> Status:
        """Of the whole: that of the stage that did not end well, if there is one."""
        if self.refused is not None:
            return "failed"
        return next((stage.status for stage in self.stages.values() if stage.status != "completed"), "completed")

    @property
    def reason(self) -> str | None:
        """Why it did not end well."""
        if self.refused is not None:
            return self.refused
        return next((stage.reason for stage in self.stages.values() if stage.status != "completed"), None)

    @property
    def seconds(self) -> float:
        """Wall time of all its processes."""
        return sum(stage.seconds for stage in self.stages.values())

    def write(self, run_dir: Path) -> None:
        """Make this the record of the run in `run_dir`, all or nothing.

        Raises:
            RunError: the file cannot be written.
        """
        atomic.write_text(record_file(run_dir), self.model_dump_json(indent=2) + "\n")


def record_file(run_dir: Path) -> Path:
    """Where the record of the run in `run_dir` lies: beside it."""
    return run_dir.with_name(f"{run_dir.name}.json")


def read(run_dir: Path) -> Record | None:
    """The record of the run in `run_dir`; None where there is none that is whole: the run is then done again."""
    try:
        return Record.model_validate_json(read_regular(record_file(run_dir)))
    except (OSError, ValidationError):
        return None


def of_attempt(folder: Path, attempt: str) -> list[tuple[Path, Record]]:
    """Of the runs below `folder`, those that one attempt at its sweep has begun, in the order of their names."""
    directories = [path.with_suffix("") for path in sorted(folder.rglob("*.json"))]
    found = [(directory, read(directory)) for directory in directories if directory.is_dir()]
    return [(directory, record) for directory, record in found if record is not None and record.attempt == attempt]


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """In what two rows differ, each as `text train: 0123456789ab then, ba9876543210 now`; choices of options first."""
    lines = [
        f"{key}: {_shown(then.get(key))} then, {_shown(now.get(key))} now"
        for key in dict.fromkeys([*now, *then])
        if then.get(key) != now.get(key)
    ]
    return sorted(lines, key=lambda line: ".name: " not in line)  # another option has other keys, too


def moment() -> str:
    """Now, as a stage has it."""
    return f"{datetime.now():%Y-%m-%dT%H:%M:%S}"


def _shown(value: Any) -> str:
    return value[:12] if isinstance(value, str) and len(value) == 64 else str(value)
