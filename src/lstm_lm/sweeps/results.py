"""The figures of a study's runs, by name, as their `summary.json` and `evaluation.json` hold them."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lstm_lm.flat_keys import at, flat_keys
from lstm_lm.reports.spread import ByRepetition, Measured, Ratio, measured, paired_ratio
from lstm_lm.runs import atomic
from lstm_lm.runs.json_file import read_json
from lstm_lm.sweeps.records import Record
from lstm_lm.sweeps.rows import Plan, Row
from lstm_lm.sweeps.schedule import Turn
from lstm_lm.sweeps.study import Study

NOT_DONE = "not done"
_SECTIONS = ("status", "reason", "model", "data", "train", "val", "test", "runtime", "evaluation")


@dataclass(frozen=True)
class Outcome:
    """One run of a row."""

    turn: Turn
    directory: Path
    record: Record | None
    """None where a stage is yet to be run, or to be run again."""
    summary: Mapping[str, Any]
    """What `summary.json` holds, and under `evaluation` what `evaluation.json` holds."""

    @property
    def status(self) -> str:
        """How it ended; NOT_DONE where it has not been run to an end."""
        unfinished = self.record is not None and self.record.status in ("running", "interrupted")
        return NOT_DONE if self.record is None or unfinished else self.record.status

    @property
    def reason(self) -> str:
        """Why it was skipped or failed."""
        return "" if self.record is None or self.status == NOT_DONE else self.record.reason or ""

    def figure(self, name: str) -> Any:
        """By its dotted name, `train.step_ms`; None where it is not known."""
        return at(self.summary, name)


@dataclass(frozen=True)
class Results:
    """All of a study, as far as it has come."""

    study: Study
    plan: Plan
    outcomes: Sequence[Outcome]

    @classmethod
    def gather(cls, study: Study, plan: Plan) -> "Results":
        """Read them from the study's folder."""
        turns = sorted(study.turns(), key=lambda turn: ([row.key for row in plan.rows].index(turn.row.key), turn[1]))
        return cls(study, plan, [cls.outcome(study, turn) for turn in turns])

    @staticmethod
    def outcome(study: Study, turn: Turn) -> Outcome:
        """One run, as its files have it."""
        run = study.run_directory(turn)
        summary = _read(run.summary)
        summary["evaluation"] = _read(run.evaluation)
        record = study.record(turn)
        if record is not None and record.status == "completed" and not study.is_done(turn):
            record = None
        return Outcome(turn, run.path, record, summary)

    @cached_property
    def _by_row(self) -> dict[str, list[Outcome]]:
        found: dict[str, list[Outcome]] = {row.key: [] for row in self.plan.rows}
        for outcome in self.outcomes:
            found[outcome.turn.row.key].append(outcome)
        return found

    def of(self, row: Row) -> Sequence[Outcome]:
        """Its runs, in the order of the repetitions."""
        return self._by_row[row.key]

    def values(self, row: Row, figure: str) -> ByRepetition:
        """A figure of a row in each repetition that has it."""
        found = {}
        for outcome in self.of(row):
            value = outcome.figure(figure) if outcome.status == "completed" else None
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[outcome.turn.repetition] = float(value)
        return found

    def measured(self, row: Row, figure: str) -> Measured | None:
        """Median and spread of a figure; None: no repetition has it."""
        return measured(self.values(row, figure))

    def ratio(self, row: Row, baseline: str, figure: str) -> Ratio | None:
        """A figure of a row over that of the row it is compared with; None where one of the two lacks it.

        Repetitions whose two runs are of different machines do not count.
        """
        other = self.plan.baseline(baseline, row)
        if other is None or other.key == row.key:
            return None
        machines, others = self._machines(row), self._machines(other)
        alike = {number for number, machine in machines.items() if others.get(number) == machine}
        values = {number: value for number, value in self.values(row, figure).items() if number in alike}
        return paired_ratio(values, self.values(other, figure))

    def _machines(self, row: Row) -> dict[int, str]:
        """By repetition, where it ran."""
        return {outcome.turn.repetition: outcome.record.machine for outcome in self.of(row) if outcome.record}

    def status(self, row: Row) -> str:
        """`completed`, or how often it ended in which way: `2 completed, 1 failed`."""
        found = [outcome.status for outcome in self.of(row)]
        kinds = list(dict.fromkeys(found))
        return kinds[0] if len(kinds) == 1 else ", ".join(f"{found.count(kind)} {kind}" for kind in kinds)

    def write_csv(self, path: Path) -> None:
        """One line a run: what tells its row, how it ended, and every figure that there is.

        Raises:
            RunError: the file cannot be written.
        """
        telling = list(dict.fromkeys(key for row in self.plan.rows for key in row.settings))
        lines = [
            {
                "row": outcome.turn.row.key,
                "arm": outcome.turn.row.arm,
                **{key: outcome.turn.row.settings.get(key, "") for key in telling},
                "repetition": outcome.turn.repetition,
                "seconds": outcome.record.seconds if outcome.record else "",
                **_figures(outcome.summary),
                "status": outcome.status,
                "reason": outcome.reason,
            }
            for outcome in self.outcomes
        ]
        columns = list(dict.fromkeys(key for line in lines for key in line if key not in ("status", "reason")))
        text = io.StringIO()
        writer = csv.DictWriter(text, [*columns, "status", "reason"], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        atomic.write_text(path, text.getvalue())


def _read(path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _figures(summary: Mapping[str, Any]) -> dict[str, int | float | str]:
    """Numbers and names, under dotted keys; lists and sentences are left to the JSON."""
    found = flat_keys({key: summary.get(key) for key in _SECTIONS[2:]})
    return {
        key: value
        for key, value in found.items()
        if isinstance(value, (int, float)) or (isinstance(value, str) and " " not in value)
    }
