"""A sweep on the terminal: a line before each job, one after it, what went wrong, a table at the end."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from lstm_lm.cli.hydra.resolvers import key_of, readable_name
from lstm_lm.cli.shell import FAILED
from lstm_lm.cli.sweep_plan import SweepPlan, as_typed
from lstm_lm.shell_words import shell_word, short_path
from lstm_lm.terminal import say, say_labelled, say_whole

if TYPE_CHECKING:
    from lstm_lm.runs.summary import Summary
    from lstm_lm.sweeps.sweep import Outcome

LOST = "its process has ended before the job began"
_INDENT = 4
_NAMED = 5
"""Of jobs that will be refused: whoever sees so many knows what is wrong."""
_WELL = ("completed", "stopped")
_SAME_TEXT = ("data.batch_size", "data.seq_len")
"""Keys of `data` that leave what is validated as it is."""


class SweepLines:
    """Tells of a sweep as it runs."""

    def __init__(self, console: Console, errors: Console) -> None:
        """`console` is for results, `errors` for what went wrong."""
        self._console = console
        self._errors = errors
        self._warned: set[str] = set()

    def foresee(self, wrong: Mapping[int, str], total: int) -> None:
        """Before the first of `total` jobs: which of them will be refused, and why."""
        if wrong:
            say(self._errors, f"warning: {len(wrong)} of {total} jobs will be refused", "yellow")
        for number, reason in [*wrong.items()][:_NAMED]:
            say_labelled(self._errors, "", f"{number}: {reason}", _INDENT)

    def begin(self, number: int, total: int, overrides: Sequence[str]) -> None:
        """A job begins, the `number`th of `total` (0: not known), which differs from the others in `overrides`."""
        count = f"{number}/{total}" if total else str(number)
        say(self._console, f"[{count}] {' '.join(overrides)}", "bold")

    def say(self, *lines: str) -> None:
        """Something about the job."""
        for line in lines:
            say_labelled(self._console, "", line, _INDENT)

    def end(self, summary: "Summary | None", *, well: bool) -> None:
        """Its process has ended: what no job before it was warned of, and, where it ended `well`, results and cost."""
        from lstm_lm.training.closing import cost

        if summary is None:
            return
        if well:
            loss = summary.val.loss if summary.val else None
            self.say(("" if loss is None else f"val {loss:.4f}   ") + cost(summary))
        how = summary.runtime.forward_reason or ""
        for warning in [*(summary.runtime.warnings or []), *([how] if "computes in" in how else [])]:
            if warning not in self._warned:
                self._warned.add(warning)
                self.say(f"warning: {warning}")

    def fail(self, reason: str) -> None:
        """It has failed."""
        self._errors.print(Text(f"error: {reason}"), soft_wrap=True)

    def conclude(self, plan: SweepPlan, attempt: str, *, ended: bool) -> int:
        """Print the table of all jobs, and where they lie; gives the exit status.

        Errors of other processes are printed too: they may have gone to some log.

        Args:
            plan: of the sweep.
            attempt: of its jobs' records.
            ended: whether every job has had its turn, and none is still at work.
        """
        from lstm_lm.sweeps import records

        if not ended and not records.of_attempt(plan.directory, attempt):  # it did not come to a first job
            return 0
        # seconds of imports, which a sweep that is refused does without; and torch cannot be imported again after an
        # interrupt in just these
        from lstm_lm.sweeps import sweep

        found = sweep.outcomes(plan.directory, attempt, ended=ended)
        known = {outcome.number for outcome in found}
        for number, overrides in enumerate(plan.jobs, 1):
            if number not in known:
                telling = [line for line in overrides if key_of(line) not in plan.shared]
                name = readable_name(number, telling if len(plan.jobs) > 1 else list(overrides))
                label = " ".join(map(as_typed, telling or overrides))
                lost = sweep.Outcome(number, label, plan.directory / name, "not run", FAILED, LOST if ended else None)
                found.append(sweep.well_done(lost) or lost)
        found.sort(key=lambda outcome: outcome.number)
        for outcome in found:
            if outcome.error is not None and (plan.launcher != "basic" or outcome.status == "not run"):
                self.fail(f"job {outcome.number}: {outcome.error}")
        self._print_table(found)
        self._print_places(plan, best=_best(found), missing=not ended or sweep.exit_status(found) != 0)
        return sweep.exit_status(found)

    def _print_places(self, plan: SweepPlan, *, best: Path | None, missing: bool) -> None:
        folder = short_path(plan.directory)
        self._console.print()
        say_whole(self._console, "sweep", folder)
        say_whole(self._console, "logs", str(Path(folder, "JOB.train.log")))
        if best is not None:
            say_whole(self._console, "best", short_path(best))
        say_whole(self._console, "compare", f"tensorboard --logdir {shell_word(folder)}")
        if missing:
            say_whole(self._console, "missing: the same command with", shell_word(f"hydra.sweep.dir={folder}"))

    def _print_table(self, found: Sequence["Outcome"]) -> None:
        from lstm_lm.reports.fitting_table import Column, FittingTable  # a run has no table of jobs

        summaries = [outcome.summary for outcome in found]
        losses = [summary.val.loss if summary and summary.val else None for summary in summaries]
        sizes = [summary.model.parameters if summary else None for summary in summaries]
        speeds = [summary.train.tokens_per_second if summary else None for summary in summaries]
        self._console.print()
        self._console.print(
            FittingTable(
                [
                    Column("job", [Text(str(outcome.number)) for outcome in found]),
                    Column("status", [_status(outcome) for outcome in found]),
                    Column("val loss", [_cell(loss, ".4f") for loss in losses], number=True),
                    Column("parameters", [_cell(size, ",") for size in sizes], number=True),
                    Column("tokens/s", [_cell(speed, ",.0f") for speed in speeds], number=True, goes=1),
                    Column("overrides", [Text(outcome.label) for outcome in found]),
                ]
            ),
            crop=False,
        )


def _best(found: Sequence["Outcome"]) -> Path | None:
    """The job with the lowest bits per byte: losses compare nothing where tokens differ; None: nor do these here."""
    scores = {each.directory: each.summary.val.bits_per_byte for each in found if each.summary and each.summary.val}
    known = {directory: bits for directory, bits in scores.items() if bits is not None}
    texts = {_text(each) for each in found if each.directory in scores}
    return min(known, key=known.__getitem__) if len(known) == len(scores) > 1 and len(texts) == 1 else None


def _text(outcome: "Outcome") -> tuple[str | None, ...]:
    """What tells the text that it was validated on from the other jobs'."""
    assert outcome.summary is not None
    data = outcome.summary.data
    other = [word for word in outcome.label.split() if word.startswith("data.") and key_of(word) not in _SAME_TEXT]
    return (data.name, data.title, *other)


def _status(outcome: "Outcome") -> Text:
    return Text(outcome.status, style="" if outcome.status in _WELL else "red")


def _cell(value: float | None, form: str) -> Text:
    return Text("" if value is None else format(value, form))
