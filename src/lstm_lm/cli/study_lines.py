"""A study on the terminal: one short line a run, with how much is left."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.status import Status
from rich.text import Text

from lstm_lm.durations import duration
from lstm_lm.printable import shown
from lstm_lm.reports.markdown import Column
from lstm_lm.shell_words import short_path
from lstm_lm.sweeps.fresh_process import MOST_LINES
from lstm_lm.sweeps.records import Record
from lstm_lm.sweeps.results import Results
from lstm_lm.sweeps.schedule import Turn, remaining_seconds
from lstm_lm.sweeps.study import Study
from lstm_lm.terminal import say, say_whole

MOST_CHANGES = 3
"""Shown of what has been changed since rows of the same names were run."""
_STYLES = {"failed": "red", "skipped": "yellow", "interrupted": "yellow"}


class StudyLines:
    """Tells of a study as it runs."""

    def __init__(self, console: Console, study: Study, headline: Column) -> None:
        """`headline`: the figure that is shown of each run."""
        self._console, self._study, self._headline = console, study, headline
        self._taken: dict[str, list[float]] = {}
        self._number, self._total = 0, 0
        self._live: Status | None = None
        for turn in study.turns():
            record = study.record(turn)
            if record is not None and record.status == "completed":
                self._taken.setdefault(turn.row.key, []).append(record.seconds)

    def title(self, name: str, size: str) -> None:
        """Say what is going to be done."""
        all_, missing = len(self._study.turns()), len(self._study.missing())
        done = f"; {all_ - missing} done before" if missing < all_ else ""
        rows = f"{len(self._study.rows)} rows x {self._study.repetitions} repetitions"
        self._print(f"study {name} ({size}): {rows} = {all_} runs{done}", "bold")
        say_whole(self._console, "folder", short_path(self._study.folder))
        if changed := self._study.changed():
            more = f"; and {len(changed) - MOST_CHANGES} more" if len(changed) > MOST_CHANGES else ""
            first = "; ".join(changed[:MOST_CHANGES])
            self._print(f"rows of the same name are others now, and run again: {first}{more}", "yellow")

    def begin(self, turn: Turn, number: int, total: int) -> None:
        """A run begins."""
        self._number, self._total = number, total
        if self._console.is_terminal:
            self._live = self._console.status(Text(f"{self._count()} {_name(turn)}"))
            self._live.start()

    def end(self, turn: Turn, record: Record, rest: Sequence[Turn]) -> None:
        """It has ended."""
        self.close()
        taken = self._taken.setdefault(turn.row.key, [])
        taken.append(record.seconds)
        left = remaining_seconds(rest, self._taken)
        until = f"   about {duration(left)} left" if rest and left is not None else ""
        said = self._figure(turn) if record.status == "completed" else _cause(record)
        line = f"{self._count()} {_name(turn)}   {said}   {duration(record.seconds)}{until}"
        self._print(line, _STYLES.get(record.status, ""))

    def close(self) -> None:
        """Take the moving line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def conclude(self, results: Results, page: Path) -> None:
        """Say how it went, and where the report is."""
        found = [outcome.status for outcome in results.outcomes]
        counts = ", ".join(f"{found.count(kind)} {kind}" for kind in dict.fromkeys(sorted(found)))
        self._print(counts, "bold")
        say_whole(self._console, "report", short_path(page))
        if others := self._study.other_rows():
            rows = "1 row" if others == 1 else f"{others} rows"
            self._print(
                f"left out: {rows} of other settings, texts or code in the same folder; the command that they were run "
                "with writes their report again, and hydra.sweep.dir=DIR gives these a folder of their own",
                "yellow",
            )

    def _figure(self, turn: Turn) -> str:
        study, column = self._study, self._headline
        outcome = Results.outcome(study, turn)
        value = outcome.figure(column.figure)
        if not isinstance(value, (int, float)):
            return "done"
        return f"{column.pattern.format(value * column.scale)} {column.title}"

    def _count(self) -> str:
        width = len(str(self._total))
        return f"[{self._number:{width}}/{self._total}]"

    def _print(self, text: str, style: str) -> None:
        say(self._console, text, style)


def _name(turn: Turn) -> str:
    return f"{turn.row.label} ({turn.repetition})"


def _cause(record: Record) -> str:
    lines = (record.reason or "").splitlines()
    telling = lines[-1] if record.status == "failed" and len(lines) == MOST_LINES else lines[0] if lines else ""
    return f"{record.status}: {shown(telling)}"
