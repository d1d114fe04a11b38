"""Running a study: what is missing, row by row, each in fresh processes, until all is done or a signal comes."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from lstm_lm.errors import RunError
from lstm_lm.renaming import remove
from lstm_lm.runs.code_version import is_edited
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.lock import is_held, only_one, refuse_where_held
from lstm_lm.sweeps import fresh_process, records
from lstm_lm.sweeps.fresh_process import Ended
from lstm_lm.sweeps.inputs import changed_since
from lstm_lm.sweeps.records import Record, Stage, Status
from lstm_lm.sweeps.row_file import what_changed, write_row
from lstm_lm.sweeps.rows import Row, folder_of
from lstm_lm.sweeps.schedule import Turn, interleaved
from lstm_lm.sweeps.stopping import StopRequest

PROGRAM = ("python", "-m", "lstm_lm")
TRAIN = "train"
DIR_KEY = "hydra.sweep.dir"
"""The key that names a study's folder."""
_STATUS: dict[str, Status] = {
    "done": "completed",
    "unavailable": "skipped",
    "failed": "failed",
    "interrupted": "interrupted",
}


class Teller(Protocol):
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

    def run(self, stop: StopRequest, teller: Teller) -> None:
        """Do what is missing, until a signal comes. A row that fails or cannot run here ends nothing.

        Raises:
            UserError: a process that is not this study's trains in the directory of one of them.
            RunError: the disk is full; or a text has been changed meanwhile, and the rest would be of another.
        """
        turns = self.missing()
        for turn in turns:
            refuse_where_held(self.run_directory(turn).path, DIR_KEY)
        for number, turn in enumerate(turns, 1):
            if stop.came:
                return
            if changed := _changed(turn.row):
                raise RunError(changed)
            teller.begin(turn, number, len(turns))
            teller.end(turn, self._do(turn, stop), turns[number:])

    def turns(self) -> list[Turn]:
        """All of them, in order."""
        return interleaved(self.rows, self.repetitions, self.order_seed)

    def missing(self) -> list[Turn]:
        """Those that have not been done: never begun, interrupted, failed, or skipped on another machine."""
        return [turn for turn in self.turns() if not self.is_done(turn)]

    def record(self, turn: Turn) -> Record | None:
        """What is known of a turn; None: it was not run, or not to an end."""
        return records.read(self._record_path(turn))

    def run_directory(self, turn: Turn) -> RunDirectory:
        """Where its run lies."""
        return RunDirectory(folder_of(turn.row, self.folder / "rows") / str(turn.repetition))

    def other_rows(self) -> int:
        """How many rows lie in the folder that this study, as it is asked for now, does not have."""
        rows = self.folder / "rows"
        own = {folder_of(row, rows) for row in self.rows}
        return sum(path.is_dir() and path not in own for path in rows.glob("*"))

    def changed(self) -> list[str]:
        """In what rows that lie in the folder under the same names were others, each once, as `KEY: A then, B now`."""
        rows = self.folder / "rows"
        new = [row for row in self.rows if not folder_of(row, rows).exists()]
        return list(dict.fromkeys(line for row in new for line in what_changed(row, rows)))

    def commands(self, turn: Turn, run: Path | str) -> dict[str, list[str]]:
        """By stage, what is typed after the program's name to run it in the directory `run`."""
        row = turn.row
        train = [TRAIN, *row.arguments(turn.repetition), f"hydra.run.dir={run}"]
        return {TRAIN: train} | {step.name: [step.verb, f"run={run}", *step.overrides] for step in row.steps}

    def is_done(self, turn: Turn) -> bool:
        """Whether there is nothing left to do: all its stages as they are now asked for, or skipped on this machine."""
        record = self.record(turn)
        if record is None:
            return False
        if record.status == "skipped":
            return record.machine == self.machine
        return not list(self._stages_to_do(turn, record))

    def _stages_to_do(self, turn: Turn, record: Record | None) -> Iterator[str]:
        """From the first stage that is not done on: what follows a training that is done again is done again."""
        keys = {TRAIN: turn.row.key} | {step.name: step.key for step in turn.row.steps}
        done = record.stages if record is not None and self.run_directory(turn).summary.exists() else {}
        again = False
        for name, key in keys.items():
            stage = done.get(name)
            well = stage is not None and stage.key == key and stage.status == "completed"
            if not well or again:
                again = again or name == TRAIN
                yield name

    def _do(self, turn: Turn, stop: StopRequest) -> Record:
        if (skipped := self._skip_like_others(turn)) is not None:
            return skipped
        before = self.record(turn)
        to_do = list(self._stages_to_do(turn, before))
        run = self.run_directory(turn)
        if TRAIN in to_do:
            self._clear(turn)
            before = None
        run.path.mkdir(parents=True, exist_ok=True)
        write_row(turn.row, run.path.parent)
        keys = {TRAIN: turn.row.key} | {step.name: step.key for step in turn.row.steps}
        stages: dict[str, Stage] = {}
        for name, arguments in self.commands(turn, run.path).items():
            if name not in to_do and before is not None:
                stages[name] = before.stages[name]
                continue
            log = run.path.parent / f"{turn.repetition}.{name}.log"
            ended = fresh_process.run(arguments, log, self.timeout, stop)
            if ended.how == "done" and (changed := _changed(turn.row)):
                ended = replace(ended, how="failed", reason=changed)
            command = shlex.join([*PROGRAM, *arguments])
            stages[name] = _stage(keys[name], command, ended)
            record = Record(machine=self.machine, stages=stages)
            if ended.how != "done" and not is_held(run.path):  # else another trains there
                status, reason = stages[name].status, str(ended.reason)
                records.settle_summary(run, command, _seed(turn), status, reason)
            if not stop.came or record.status == "completed":
                record.write(self._record_path(turn))
            if ended.how != "done":
                return record
        return Record(machine=self.machine, stages=stages)

    def _skip_like_others(self, turn: Turn) -> Record | None:
        """Where this machine could not run the row in another repetition, that is not tried again."""
        for repetition in range(1, self.repetitions + 1):
            other = self.record(Turn(turn.row, repetition))
            stage = other.stages.get(TRAIN) if other is not None and other.machine == self.machine else None
            if stage is None or stage.status != "skipped":
                continue
            self._clear(turn)
            run = self.run_directory(turn)
            stage.command, stage.seconds = shlex.join([*PROGRAM, *self.commands(turn, run.path)[TRAIN]]), 0.0
            records.settle_summary(run, stage.command, _seed(turn), stage.status, str(stage.reason))
            record = Record(machine=self.machine, stages={TRAIN: stage})
            record.write(self._record_path(turn))
            return record
        return None

    def _record_path(self, turn: Turn) -> Path:
        return self.run_directory(turn).path.with_name(f"{turn.repetition}.json")

    def _clear(self, turn: Turn) -> None:
        """Take away what an earlier, unfinished run of this very turn left."""
        run = self.run_directory(turn).path
        with only_one(run, DIR_KEY):
            for path in (self._record_path(turn), run, *run.parent.glob(f"{turn.repetition}.*.log")):
                remove(path)


def _changed(row: Row) -> str | None:
    """What to say where a row's key no longer is of what the row reads."""
    names = [*changed_since(row.inputs, row.config), *(["the program's source"] if is_edited() else [])]
    if not names:
        return None
    return (
        f"{', '.join(names)}: changed since this study began\ntype its command again: rows of what is there now are run"
    )


def _seed(turn: Turn) -> int:
    return turn.row.seed + turn.repetition - 1


def _stage(key: str, command: str, ended: Ended) -> Stage:
    return Stage(
        key=key,
        command=command,
        status=_STATUS[ended.how],
        reason=ended.reason,
        seconds=ended.seconds,
        ended=f"{datetime.now():%Y-%m-%dT%H:%M:%S}",
    )
