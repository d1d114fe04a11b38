"""A study: its rows, repeated and interleaved, each in fresh processes, until all is done or a signal comes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lstm_lm.errors import RunError
from lstm_lm.runs.directory import STUDY_ROWS, RunDirectory
from lstm_lm.runs.lock import refuse_where_held
from lstm_lm.sweeps import records
from lstm_lm.sweeps.fresh_process import Ended
from lstm_lm.sweeps.records import Record
from lstm_lm.sweeps.rows import Row, folder_of, folders_of_name
from lstm_lm.sweeps.runner import DIR_KEY, TRAIN, Job, Runner
from lstm_lm.sweeps.schedule import Turn, interleaved
from lstm_lm.sweeps.stopping import StopRequest


class Progress(Protocol):
    """Shows a person how far it is."""

    def begin(self, turn: Turn, number: int, total: int) -> None:
        """A run begins, the `number`th of the `total` that are to be done."""

    def end(self, turn: Turn, record: Record, rest: Sequence[Turn]) -> None:
        """It has ended; those in `rest` are still to be done."""


@dataclass(frozen=True)
class Study:
    """Rows, repetitions and the folder in which they lie."""

    folder: Path
    rows: Sequence[Row]
    repetitions: int
    order_seed: int
    timeout: float
    """Seconds for one process."""
    machine: str
    """This one, in a line."""

    def run(self, stop: StopRequest, progress: Progress) -> None:
        """Do what is missing, until a signal comes. A row that fails or cannot run here ends nothing.

        Raises:
            UserError: a process that is not this study's trains in the directory of one of them.
            RunError: the disk is full; or a text has been changed meanwhile, and the rest would be of another.
        """
        turns = self.missing()
        for turn in turns:
            refuse_where_held(self.job(turn).directory, DIR_KEY)
        runner = Runner(stop, "retrain", self.machine, timeout=self.timeout)
        for number, turn in enumerate(turns, 1):
            if stop.came:
                return
            if changed := turn.row.changed():
                raise RunError(changed)
            progress.begin(turn, number, len(turns))
            record = runner.run(self.job(turn), known=self._skipped_before(turn))
            progress.end(turn, record, turns[number:])

    def turns(self) -> list[Turn]:
        """All of them, in order."""
        return interleaved(self.rows, self.repetitions, self.order_seed)

    def missing(self) -> list[Turn]:
        """Those that have not been done: never begun, interrupted, failed, or skipped on another machine."""
        return [turn for turn in self.turns() if not self.is_done(turn)]

    def is_done(self, turn: Turn) -> bool:
        """Whether there is nothing left to do: all its stages as they are now asked for, or skipped on this machine."""
        record = self.record(turn)
        if record is not None and record.status == "skipped":
            return record.machine == self.machine
        return not self.job(turn).to_do()

    def record(self, turn: Turn) -> Record | None:
        """What is known of a turn; None: it was never begun."""
        return self.job(turn).record()

    def job(self, turn: Turn) -> Job:
        """What is run in its turn."""
        run = self.run_directory(turn).path
        return Job(turn.row, turn.repetition, turn.row.seed + turn.repetition - 1, run, self.commands(turn, run))

    def run_directory(self, turn: Turn) -> RunDirectory:
        """Where its run lies."""
        return RunDirectory(folder_of(turn.row, self.folder / STUDY_ROWS) / str(turn.repetition))

    def commands(self, turn: Turn, run: Path | str) -> dict[str, list[str]]:
        """By stage, what is typed after the program's name to run it in the directory `run`."""
        row = turn.row
        train = [TRAIN, *row.arguments(turn.repetition), f"hydra.run.dir={run}"]
        return {TRAIN: train} | {step.name: [step.verb, f"run={run}", *step.overrides] for step in row.steps}

    def other_rows(self) -> int:
        """How many rows lie in the folder that this study, as it is asked for now, does not have."""
        rows = self.folder / STUDY_ROWS
        own = {folder_of(row, rows) for row in self.rows}
        return sum(path.is_dir() and path not in own for path in rows.glob("*"))

    def changed(self) -> list[str]:
        """In what the newest rows of the same names in the folder were others, each once: `KEY: A then, B now`."""
        rows = self.folder / STUDY_ROWS
        found: dict[str, None] = {}
        for row in self.rows:
            if folder_of(row, rows).exists():
                continue
            files = [file for folder in folders_of_name(row, rows) for file in folder.glob("*.json")]
            newest = max(files, key=lambda file: file.stat().st_mtime_ns, default=None)
            record = records.read(newest.with_suffix("")) if newest else None
            found |= dict.fromkeys(records.differences(record.row, row.identity()) if record else [])
        return list(found)

    def _skipped_before(self, turn: Turn) -> Ended | None:
        """How another repetition ended that this machine could not run: that is not tried again."""
        for repetition in range(1, self.repetitions + 1):
            record = self.record(Turn(turn.row, repetition))
            stage = record.stages.get(TRAIN) if record is not None and record.machine == self.machine else None
            if stage is not None and stage.status == "skipped":
                return Ended("unavailable", stage.reason, 0.0, stage.exit_status or 0)
        return None
