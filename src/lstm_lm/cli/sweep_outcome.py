"""What became of a sweep's job, and how a job in another process tells it: in a file, which outlives both processes.

What a launcher hands back would not do: joblib's and submitit's hand back nothing once one job is lost.
"""

import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lstm_lm.cli.shell import FAILED
from lstm_lm.runs import atomic
from lstm_lm.runs.regular_file import read_regular
from lstm_lm.runs.summary import Summary

GOOD = ("completed", "stopped", "skipped")
UNFINISHED = "unfinished"
"""The status of a job that has begun, and has said nothing since."""


@dataclass(frozen=True)
class Job:
    """One run of a sweep."""

    number: int
    """Counted from 1."""
    overrides: Sequence[str]
    """What tells it from the others, as a person would type it."""
    directory: Path
    command: str
    seed: int | None


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    job: Job
    status: str
    exit_status: int
    summary: Summary | None = None
    error: str | None = None
    """What went wrong, in a few lines; None: nothing, or the summary says it."""

    @classmethod
    def of(cls, job: Job, summary: Summary) -> "Outcome":
        """That of a job that ran."""
        return cls(job, summary.status, 0 if summary.status in GOOD else FAILED, summary)


_FORM = TypeAdapter(Outcome)


@dataclass(frozen=True)
class Letterbox:
    """A file for each job of one attempt at a sweep: what earlier attempts have left in its folder is no news."""

    sweep: Path
    """The sweep's folder."""
    attempt: str

    @property
    def folder(self) -> Path:
        """Where the files lie."""
        return self.sweep / f".outcomes-{self.attempt}"

    def leave(self, outcome: Outcome) -> None:
        """Say how a job stands, in place of what was said about it before.

        Raises:
            RunError: that cannot be written.
        """
        with suppress(OSError):  # writing says what is wrong
            self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{outcome.job.number}.json"
        atomic.write_bytes(path, _FORM.dump_json(outcome))

    def collect(self) -> list[Outcome]:
        """What there is, in no particular order."""
        found: list[Outcome] = []
        for path in self.folder.glob("*.json"):
            with suppress(OSError, ValidationError):  # then that job has said nothing
                found.append(_FORM.validate_json(read_regular(path)))
        return found

    def remove(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.folder, ignore_errors=True)
