"""A sweep: jobs that each have a folder of their own, where the same command finds them again and continues them."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.runs import summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import Summary
from lstm_lm.sweeps import records
from lstm_lm.sweeps.records import Record
from lstm_lm.sweeps.rows import Row
from lstm_lm.training.identity import LIMITS, seconds
from lstm_lm.training.schedulers import scheduler_class

FAILED = 1
MOST_DIFFERENCES = 2
KILLED = "its process has ended without a word: killed, perhaps for lack of memory"
_LIMITS = {f"trainer.{key}" for key in LIMITS}
_UNLIMITED = (None, -1)


@dataclass(frozen=True)
class Outcome:
    """What became of a sweep's job."""

    number: int
    """Of the job, from 1."""
    label: str
    """What tells it from the others, as a person would type it."""
    directory: Path
    status: str
    """Its record's, but for the summary's where it ended well, and `killed` where its process said nothing more."""
    exit_status: int
    error: str | None = None
    summary: Summary | None = None
    """What came out, where it ended well."""

    @classmethod
    def of(cls, record: Record, directory: Path, *, ended: bool) -> "Outcome":
        """Read off a record, and off the run beside it; `ended`: nothing is at work any more."""
        outcome = partial(cls, record.number, record.label, directory)
        if record.status == "completed":
            run = summary.read_if_whole(RunDirectory(directory).summary)
            well = run is not None and run.ended_well
            return outcome(run.status if run else record.status, 0 if well else FAILED, summary=run)
        if record.status == "running":
            return outcome("killed", FAILED, KILLED) if ended else outcome("unfinished", FAILED)
        refused = {stage.exit_status for stage in record.stages.values()} == {UserError.exit_status}
        return outcome(record.status, UserError.exit_status if refused or record.refused else FAILED, record.reason)


def place(row: Row, named: Path) -> tuple[Path, list[str]]:
    """Where a job runs: `named`, or the first beside it that holds no other run; and what was found on the way.

    A job's name holds only what tells it from the other jobs, so the directory of that name may hold the run of another
    text, of a setting that all jobs had then, or of other code. Its results are kept, and are not this job's.
    """
    found: list[str] = []
    for number in itertools.count(1):
        directory = named if number == 1 else named.with_name(f"{named.name}-{number}")
        if RunDirectory(directory).is_empty():
            return directory, found
        record = records.read(directory)
        then, now = record.row if record else {}, row.identity()
        differs = records.differences(then, now)
        if record and (not differs or _goes_further(then, now)):
            return directory, found
        more = f"; and {len(differs) - MOST_DIFFERENCES} more" if len(differs) > MOST_DIFFERENCES else ""
        what = "; ".join(differs[:MOST_DIFFERENCES]) + more if record else "no sweep's, as far as is known"
        found.append(f"{directory}: holds another run: {what}")
    raise AssertionError("itertools.count ended")


def outcomes(folder: Path, attempt: str, *, ended: bool) -> list[Outcome]:
    """What became of the jobs of one attempt at the sweep in `folder`; earlier attempts' are no news."""
    return [Outcome.of(record, directory, ended=ended) for directory, record in records.of_attempt(folder, attempt)]


def well_done(job: Outcome) -> Outcome | None:
    """`job`, about which this attempt has no word, as another command that works in the same folder has done it."""
    record = records.read(job.directory) if job.directory.is_dir() else None
    if record is None or record.status != "completed":
        return None
    done = Outcome.of(record, job.directory, ended=True)
    return replace(done, number=job.number, label=job.label) if done.exit_status == 0 else None


def exit_status(found: Sequence[Outcome]) -> int:
    """0: all jobs are well; 2: all were refused before training; 1: any other failure."""
    statuses = {outcome.exit_status for outcome in found}
    if statuses <= {0}:
        return 0
    return UserError.exit_status if statuses == {UserError.exit_status} else FAILED


def _goes_further(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the one difference is a further limit, under a schedule that does not span the run: it is continued."""
    changed = {key for key in {*then, *now} if then.get(key) != now.get(key)}
    return (
        changed <= _LIMITS
        and not scheduler_class(str(now.get("scheduler.name"))).needs_total_steps
        and all(_is_further(then.get(key), now.get(key)) for key in changed)
    )


def _is_further(then: Any, now: Any) -> bool:
    if now in _UNLIMITED or then in _UNLIMITED:
        return now in _UNLIMITED
    return bool(seconds(now) > seconds(then) if isinstance(now, str) else now > then)
