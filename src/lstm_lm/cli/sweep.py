"""A sweep as a person sees it: a line before each job, what went wrong, a table at the end. Failed jobs end nothing."""

import shlex
import traceback
from collections.abc import Callable
from dataclasses import replace

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lm.cli.resolvers import key_of, readable_name
from lstm_lm.cli.shell import FAILED, Told, tell
from lstm_lm.cli.sweep_outcome import GOOD, UNFINISHED, Job, Letterbox, Outcome
from lstm_lm.cli.sweep_plan import SweepPlan, as_typed
from lstm_lm.cli.wording import shown
from lstm_lm.errors import UserError
from lstm_lm.runs import atomic
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.lock import is_held
from lstm_lm.runs.summary import Summary

ERROR_LOG = "error.log"
KILLED = "its process has ended without a word: killed, perhaps for lack of memory"
LOST = "its process has ended before the job began"


class Sweep:
    """Runs jobs, one by one, and keeps count."""

    def __init__(self, console: Console, errors: Console) -> None:
        """`console` is for results, `errors` for what went wrong."""
        self._console = console
        self._errors = errors
        self.outcomes: list[Outcome] = []

    def run(self, job: Job, total: int | None, work: Callable[[], Summary], letters: Letterbox | None = None) -> None:
        """Do `work`; an error of it is told and recorded, and that is all. An interruption ends the sweep.

        Args:
            job: what is done.
            total: how many jobs there are, if that is known.
            work: does it.
            letters: where another process learns of it; None: this process runs the whole sweep.

        Raises:
            SystemExit: in a process that a launcher has started, `work` was told to exit: submitit does so where its
                job is pre-empted, and starts it again.
        """
        count = f"{job.number}/{total}" if total else str(job.number)
        self._console.print(Text(f"\n[{count}] {' '.join(job.overrides)}", style="bold"))
        if letters is not None:
            letters.leave(Outcome(job, UNFINISHED, FAILED))
        try:
            outcome = self._outcome(job, work, may_exit=letters is not None)
        except SystemExit:
            raise
        except BaseException:
            self._keep(Outcome(job, "interrupted", FAILED), letters)
            raise
        self._keep(outcome, letters)

    def exit_status(self) -> int:
        """0: all jobs are well; 2: all were refused before training; 1: any other failure."""
        statuses = {outcome.exit_status for outcome in self.outcomes}
        if statuses <= {0}:
            return 0
        return UserError.exit_status if statuses == {UserError.exit_status} else FAILED

    def conclude(self, plan: SweepPlan, attempt: str, *, ended: bool) -> None:
        """Print the table of all jobs, and where they lie.

        Args:
            plan: of the sweep.
            attempt: which those in other processes belong to.
            ended: whether every job has had its turn, and none is still at work.
        """
        letters = Letterbox(plan.directory, attempt)
        self._collect(letters, ended)
        if ended:
            letters.remove()
        if not ended and not self.outcomes:  # it did not come to a first job: there is nothing to tell of
            return
        self._add_missing(plan, ended)
        self._print_table()
        self._console.print(
            Text(
                f"\nthe sweep lies in {plan.directory}\n"
                f"compare: tensorboard --logdir {shlex.quote(str(plan.directory))}"
            )
        )

    def _outcome(self, job: Job, work: Callable[[], Summary], *, may_exit: bool) -> Outcome:
        try:
            return Outcome.of(job, work())
        except (Exception, SystemExit) as error:
            if may_exit and isinstance(error, SystemExit):
                raise
            told = self._report(job, error)
            return Outcome(job, "failed", told.exit_status, error=told.text)

    def _keep(self, outcome: Outcome, letters: Letterbox | None) -> None:
        self.outcomes.append(outcome)
        if letters is not None:
            letters.leave(outcome)

    def _collect(self, letters: Letterbox, ended: bool) -> None:
        """Add the jobs of other processes; tell their errors, which may have gone to some log."""
        for outcome in sorted(letters.collect(), key=lambda outcome: outcome.job.number):
            if ended and outcome.status == UNFINISHED:
                outcome = replace(outcome, status="killed", error=KILLED)
            self._add(outcome)

    def _add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if outcome.error is not None:
            self._errors.print(Text(f"error: job {outcome.job.number}: {outcome.error}"), soft_wrap=True)

    def _add_missing(self, plan: SweepPlan, ended: bool) -> None:
        known = {outcome.job.number for outcome in self.outcomes}
        for number, overrides in enumerate(plan.jobs, 1):
            if number not in known:
                telling = [line for line in overrides if key_of(line) not in plan.shared]
                name = readable_name(number, telling if len(plan.jobs) > 1 else list(overrides))
                job = Job(number, [as_typed(line) for line in telling or overrides], plan.directory / name, "", None)
                self._add(Outcome(job, "not run", FAILED, error=LOST if ended else None))
        self.outcomes.sort(key=lambda outcome: outcome.job.number)

    def _print_table(self) -> None:
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

    def _report(self, job: Job, error: BaseException) -> Told:
        """Tell a job's error, leave a summary where there is none."""
        told = tell(error)
        if told is None:
            log = job.directory / ERROR_LOG
            told_in_full = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
            atomic.write_bytes(log, told_in_full)
            cause = shown(f"{type(error).__name__}: {error}")
            told = Told(FAILED, f"{cause} (an error in the program; its traceback is in {log})")
        self._errors.print(Text(f"error: {told.text}"), soft_wrap=True)
        _leave_summary(job, told.text)
        return told


def _leave_summary(job: Job, reason: str) -> None:
    """Say in the job's directory why it failed, unless a run is there: its own, or the one that it must not touch."""
    run = RunDirectory(job.directory)
    if run.is_empty() and not is_held(run.path):
        summary = Summary.begin(job.command, job.seed)
        summary.status, summary.reason = "failed", reason
        summary.write(run.summary)
