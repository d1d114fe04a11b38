"""A sweep as a person sees it: a line before each job, what went wrong, a table at the end. Failed jobs end nothing."""

import shlex
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lm.cli.shell import FAILED, Told, tell
from lstm_lm.cli.wording import shown
from lstm_lm.errors import UserError
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import Summary

GOOD = ("completed", "stopped", "skipped")
ERROR_LOG = "error.log"


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


class Sweep:
    """Runs jobs, one by one, and keeps count."""

    def __init__(self, console: Console, errors: Console) -> None:
        """`console` is for results, `errors` for what went wrong."""
        self._console = console
        self._errors = errors
        self.outcomes: list[Outcome] = []

    def run(self, job: Job, total: int | None, work: Callable[[], Summary]) -> None:
        """Do `work`; an error of it is told and recorded, and that is all. An interruption ends the sweep."""
        count = f"{job.number}/{total}" if total else str(job.number)
        self._console.print(Text(f"\n[{count}] {' '.join(job.overrides)}", style="bold"))
        try:
            summary = work()
        except (Exception, SystemExit) as error:
            self.outcomes.append(Outcome(job, "failed", self._report(job, error)))
        except BaseException:
            self.outcomes.append(Outcome(job, "interrupted", FAILED))
            raise
        else:
            self.outcomes.append(Outcome(job, summary.status, 0 if summary.status in GOOD else FAILED, summary))

    def exit_status(self) -> int:
        """0: all jobs are well; 2: all were refused before training; 1: any other failure."""
        statuses = {outcome.exit_status for outcome in self.outcomes}
        if statuses <= {0}:
            return 0
        return UserError.exit_status if statuses == {UserError.exit_status} else FAILED

    def conclude(self) -> None:
        """Print the table of all jobs, and where they lie."""
        if not self.outcomes:
            return
        folder = self.outcomes[0].job.directory.parent
        table = Table("job", "overrides", "status", box=None, pad_edge=False)
        table.add_column("val loss", justify="right")
        table.add_column("tokens/s", justify="right")
        table.add_column("directory", overflow="fold")
        for outcome in self.outcomes:
            summary = outcome.summary
            loss = summary.val.loss if summary and summary.val else None
            speed = summary.train.tokens_per_second if summary else None
            table.add_row(
                str(outcome.job.number),
                Text(" ".join(outcome.job.overrides)),
                Text(outcome.status, style="" if outcome.status in GOOD else "red"),
                "" if loss is None else f"{loss:.4f}",
                "" if speed is None else f"{speed:,.0f}",
                Text(outcome.job.directory.name),
            )
        self._console.print()
        self._console.print(table)
        self._console.print(
            Text(f"\nthe sweep lies in {folder}\ncompare: tensorboard --logdir {shlex.quote(str(folder))}")
        )

    def _report(self, job: Job, error: BaseException) -> int:
        """Tell a job's error, leave a summary where there is none; gives the job's exit status."""
        told = tell(error)
        if told is None:
            log = job.directory / ERROR_LOG
            log.write_text("".join(traceback.format_exception(error)), encoding="utf-8", errors="backslashreplace")
            cause = shown(f"{type(error).__name__}: {error}")
            told = Told(FAILED, f"{cause} (an error in the program; its traceback is in {log})")
        self._errors.print(Text(f"error: {told.text}"), soft_wrap=True)
        _leave_summary(job, told.text)
        return told.exit_status


def _leave_summary(job: Job, reason: str) -> None:
    """Say in the job's directory why it failed, unless a run is there: its own, or the one that it must not touch."""
    run = RunDirectory(job.directory)
    if run.is_empty():
        summary = Summary.begin(job.command, job.seed)
        summary.status, summary.reason = "failed", reason
        summary.write(run.summary)
