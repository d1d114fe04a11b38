"""A row is run: each of its commands in a fresh process, and a record of how each ended. Sweeps and studies alike."""

import math
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from lstm_lm.errors import UserError
from lstm_lm.renaming import remove
from lstm_lm.runs import atomic, summary
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.lock import is_held, only_one
from lstm_lm.runs.summary import Summary
from lstm_lm.sweeps import fresh_process, records
from lstm_lm.sweeps.fresh_process import Ended
from lstm_lm.sweeps.records import Record, Stage, Status
from lstm_lm.sweeps.rows import Row
from lstm_lm.sweeps.stopping import StopRequest

PROGRAM = ("python", "-m", "lstm_lm")
TRAIN = "train"
DIR_KEY = "hydra.sweep.dir"
"""The key that names the folder of a sweep or study."""
ERROR_LOG = "error.log"


@dataclass(frozen=True)
class Job:
    """One run of a row: the commands that make it, and where it lies."""

    row: Row
    number: int
    """Of the job in its sweep, or of the repetition; from 1."""
    seed: int | None
    directory: Path
    commands: Mapping[str, Sequence[str]]
    """By stage, `train` first, what is typed after the program's name."""

    @property
    def run(self) -> RunDirectory:
        """Where it lies."""
        return RunDirectory(self.directory)

    @property
    def keys(self) -> dict[str, str]:
        """By stage, the hash of what it runs."""
        return {TRAIN: self.row.key} | {step.name: step.key for step in self.row.steps}

    def log(self, stage: str) -> Path:
        """All that the command of `stage` has said."""
        return self.directory.with_name(f"{self.directory.name}.{stage}.log")

    def record(self) -> Record | None:
        """What is known of it; None: it was never begun."""
        return records.read(self.directory)

    def to_do(self) -> list[str]:
        """The stages that are not done as they are asked for now; all, where the training is not."""
        record = self.record()
        done = record.stages if record is not None and self.run.summary.exists() else {}
        missing = [
            name
            for name, key in self.keys.items()
            if name not in done or done[name].key != key or done[name].status != "completed"
        ]
        return list(self.keys) if TRAIN in missing else missing

    def clear(self) -> None:
        """Take away what an earlier run of this very job left.

        Raises:
            UserError: another process trains there.
        """
        with only_one(self.directory, DIR_KEY):
            logs = self.directory.parent.glob(f"{self.directory.name}.*.log")
            for path in (records.record_file(self.directory), self.directory, *logs):
                remove(path)


@dataclass(frozen=True)
class Runner:
    """Runs rows, one after the other."""

    stop: StopRequest
    unfinished: Literal["resume", "retrain"]
    """What becomes of a training that did not end well: its command continues it, and it is watched; or it is done
    from scratch.

    The latter is for rows that are compared: what this machine cannot do is skipped.
    """
    machine: str
    """This one, in a line."""
    attempt: str = field(default_factory=lambda: secrets.token_hex(4))
    timeout: float = math.inf
    """Seconds for one process."""
    cwd: Path | None = None
    """The current directory of its processes; None: this one's."""

    def run(self, job: Job, *, again: bool = False, known: Ended | None = None) -> Record:
        """Do what is missing of `job`, or all of it `again`; gives its record, which is written beside its run.

        Args:
            job: what is run.
            again: whatever its record says.
            known: how its training would end, where that is known without a process: it is refused, or skipped.

        Raises:
            UserError: another process trains where something was to be begun again.
            RunError: the record cannot be written.
        """
        to_do = list(job.keys) if again or known else job.to_do()
        before = job.record()
        if TRAIN in to_do and self.unfinished == "retrain":
            job.clear()
        record = Record(
            label=job.row.label,
            number=job.number,
            row=job.row.identity(),
            machine=self.machine,
            attempt=self.attempt,
            stages={name: stage for name, stage in before.stages.items() if name not in to_do} if before else {},
        )
        for name in to_do:
            ended = self._stage(job, record, name, known)
            refused = ended.exit_status == UserError.exit_status and self.unfinished == "resume"
            if refused and before is not None and not job.run.is_empty():
                record = before.model_copy(update={"attempt": self.attempt, "refused": ended.reason})
            if ended.how != "done":
                break
        record.write(job.directory)
        return record

    def _stage(self, job: Job, record: Record, name: str, known: Ended | None) -> Ended:
        """Run one command; `record` says so while it runs, and then how it ended."""
        command = shlex.join([*PROGRAM, *job.commands[name]])
        record.stages[name] = Stage(key=job.keys[name], command=command, status="running", ended=records.moment())
        there = summary.read_if_whole(job.run.summary)
        ended = known or self._process(job, record, name)
        stage = Stage(
            key=job.keys[name],
            command=command,
            status=self._status(ended),
            reason=ended.reason,
            exit_status=ended.exit_status,
            seconds=ended.seconds,
            ended=records.moment(),
        )
        record.stages[name] = stage
        is_ours = job.run.is_empty() or summary.read_if_whole(job.run.summary) != there  # else it was refused
        if stage.status != "completed" and is_ours and not is_held(job.directory):  # else another trains there
            _complete_summary(job, stage)
        return ended

    def _process(self, job: Job, record: Record, name: str) -> Ended:
        job.directory.mkdir(parents=True, exist_ok=True)
        record.write(job.directory)
        log, watched = job.log(name), self.unfinished == "resume"
        ended = fresh_process.run(job.commands[name], log, self.timeout, self.stop, self.cwd, watched)
        if ended.how == "done" and (changed := job.row.changed()):
            return replace(ended, how="failed", reason=changed)
        if ended.traceback is None:
            return ended
        where = job.directory / ERROR_LOG
        atomic.write_bytes(where, ended.traceback.encode("utf-8", "backslashreplace"))
        return replace(ended, reason=f"{ended.reason} (an error in the program; its traceback is in {where})")

    def _status(self, ended: Ended) -> Status:
        if ended.how == "unavailable":
            return "skipped" if self.unfinished == "retrain" else "failed"
        return "completed" if ended.how == "done" else ended.how


def _complete_summary(job: Job, stage: Stage) -> None:
    """Have the run's `summary.json` say how it ended, where the process itself could not, or was refused.

    Raises:
        RunError: it cannot be written.
    """
    said = summary.read_if_whole(job.run.summary) or Summary.begin(stage.command, job.seed)
    if said.ended_well:  # training itself was well: a later step was not
        return
    assert stage.status in ("failed", "skipped", "interrupted")
    said.status, said.reason = stage.status, stage.reason
    job.directory.mkdir(parents=True, exist_ok=True)
    said.write(job.run.summary)
