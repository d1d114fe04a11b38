"""The frame of every study's report: what was run on what, what came out, what did not, and how to run it again."""

import itertools
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lstm_lm.errors import UserError
from lstm_lm.registry import find
from lstm_lm.reports import figure, markdown
from lstm_lm.runs import atomic
from lstm_lm.runs.regular_file import read_regular
from lstm_lm.sweeps.barely_trained import NOTE, is_barely_trained, marked
from lstm_lm.sweeps.reports.interface import StudyReport
from lstm_lm.sweeps.results import NOT_DONE, Outcome, Results
from lstm_lm.sweeps.rows import Row
from lstm_lm.sweeps.runner import PROGRAM

PACKAGE = "lstm_lm.sweeps.reports"
PAGE, TABLE = "report.md", "results.csv"
AGAIN = "outputs/again"
_SHOWN_VERSIONS = ("python", "lstm-lm", "torch", "lightning", "numpy")
_METHOD = (
    "Every run is a fresh process; each repetition runs every row once, in another order, with another seed. Figures "
    "are medians (lowest..highest). A ratio is taken within each repetition; shown are its median and the interval "
    "that holds it with 95 % confidence (Student's, of the logarithms). Where that covers 1, no difference was "
    "measured; of twenty rows that are alike, one is expected to look different all the same."
)
NOTHING = (
    "Nothing: no two completed rows have a figure to compare. A run of a few steps has no speed: the first don't count."
)
TRAINED = (
    ("data", "name", "text {}"),
    ("tokenizer", "name", "tokenizer {}"),
    ("model", "name", "model {}"),
    ("model", "num_layers", "L={}"),
    ("model", "hidden_size", "H={}"),
    ("data", "batch_size", "B={}"),
    ("data", "seq_len", "T={}"),
    ("precision", "name", "precision {}"),
)
"""Section and key of a configuration, and how its value is shown."""


def find_report(name: str) -> StudyReport:
    """The report of the study `name`.

    Raises:
        UserError: there is none.
    """
    report: StudyReport = find(PACKAGE, name, "study.name").REPORT
    return report


def write_report(name: str, size: str, results: Results) -> Path:
    """Write `report.md`, `results.csv` and the pictures into the study's folder; gives the page's path.

    Raises:
        UserError: there is no report of that name; what is in the folder is something else.
        RunError: a file cannot be written.
    """
    report, folder = find_report(name), results.study.folder
    claim_folder(folder, name)
    for old in _pictures(folder):  # of an earlier report, with more rows perhaps
        (folder / old).unlink(missing_ok=True)
    results.write_csv(folder / TABLE)
    pictures = report.plots(results)
    for stem, picture in pictures.items():
        figure.save(picture, folder / f"{stem}.png")
    blocks = [
        f"# {report.title} ({size})",
        report.question,
        *_circumstances(results),
        *_meaning(report, results),
        "## What came out",
        *(report.findings(results) or [NOTHING]),
        *(f"![{stem.replace('_', ' ')}]({stem}.png)" for stem in pictures),
        *([_caption(results.study.repetitions)] if pictures else []),
        "## All rows",
        _rows(report, results),
        *([NOTE] if any(is_barely_trained(results, row) for row in results.plan.rows) else []),
        _METHOD,
        *_missing(results),
        "## Run a row again",
        *_commands(results),
    ]
    atomic.write_text(folder / PAGE, "\n\n".join(blocks) + "\n")
    return folder / PAGE


def claim_folder(folder: Path, name: str) -> None:
    """Refuse a folder whose report or table is none of the study `name`.

    Raises:
        UserError: it is not.
    """
    for path, begins in ((folder / PAGE, f"# {find_report(name).title} ("), (folder / TABLE, "row,arm,")):
        if os.path.lexists(path) and not _text(path).startswith(begins):
            raise UserError(
                f"{path}: is there already, and none of study={name}\n"
                "move it, or choose another folder: hydra.sweep.dir=DIR"
            )


def _pictures(folder: Path) -> list[str]:
    """The names of those that the report in `folder` shows."""
    return re.findall(r"^!\[[^]\n]*\]\((\w[\w-]*\.png)\)$", _text(folder / PAGE), re.MULTILINE)


def _text(path: Path) -> str:
    """What is there; nothing where it cannot be read."""
    try:
        return read_regular(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _circumstances(results: Results) -> Iterator[str]:
    ran = [outcome for outcome in results.outcomes if outcome.record is not None]
    counts = {kind: sum(outcome.status == kind for outcome in results.outcomes) for kind in _kinds(results)}
    days = sorted(stage.ended[:10] for outcome in ran if outcome.record for stage in outcome.record.stages.values())
    repetitions = results.study.repetitions
    facts = {
        "trained": _trained(results),
        "machine": _all_of(outcome.record.machine for outcome in ran if outcome.record),
        "versions": _all_of(_versions(outcome.summary) for outcome in ran if outcome.summary.get("versions")),
        "commit": _all_of(
            str(outcome.summary.get("git_commit"))[:12] for outcome in ran if outcome.summary.get("git_commit")
        ),
        "date": " to ".join(dict.fromkeys([days[0], days[-1]])) if days else "",
        "runs": f"{len(results.plan.rows)} rows, {repetitions} repetition{'s' if repetitions > 1 else ''}: "
        + ", ".join(f"{count} {kind}" for kind, count in counts.items()),
    }
    yield markdown.table(["", ""], [[key, value] for key, value in facts.items() if value], left=2)
    if len({outcome.record.machine for outcome in ran if outcome.record}) > 1:
        yield "**These runs are of different machines: their times do not compare.**"


def _trained(results: Results) -> str:
    """What all rows have in common of what is trained; what differs is in the rows' names."""
    common: list[str] = []
    for section, key, words in TRAINED:
        values = {str(row.config.get(section, {}).get(key)) for row in results.plan.rows}
        if len(values) == 1 and (value := values.pop()) != "None":
            common.append(words.format(value))
    return ", ".join(common)


def _meaning(report: StudyReport, results: Results) -> Iterator[str]:
    if sentences := list(report.meaning(results)):
        yield "## What it means"
        yield "\n".join(f"- {sentence}" for sentence in sentences)


def _caption(repetitions: int) -> str:
    if repetitions == 1:
        return "*One repetition: there are no intervals, and nothing is concluded.*"
    return (
        f"*Medians of {repetitions} repetitions. Bars and bands: from the lowest to the highest; of ratios, the "
        "interval that holds them with 95 % confidence.*"
    )


def _kinds(results: Results) -> list[str]:
    return list(dict.fromkeys(sorted(outcome.status for outcome in results.outcomes)))


def _all_of(values: Any) -> str:
    return "; ".join(dict.fromkeys(values))


def _versions(summary: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {summary['versions'].get(name)}" for name in _SHOWN_VERSIONS)


def _rows(report: StudyReport, results: Results) -> str:
    shown = [
        column
        for column in report.columns
        if any(results.measured(row, column.figure) is not None for row in results.plan.rows)
    ]
    header = ["row", "repetitions", *(column.title for column in shown)]
    lines = [
        [
            marked(results, row, row.label),
            _repetitions(results, row),
            *(markdown.spread(results.measured(row, c.figure), c) for c in shown),
        ]
        for row in results.plan.rows
    ]
    return markdown.table(header, lines)


def _repetitions(results: Results, row: Row) -> str:
    status = results.status(row)
    return str(len(results.of(row))) if status == "completed" else status


def _missing(results: Results) -> Iterator[str]:
    titles = {"skipped": "Skipped: not possible on this machine", "failed": "Failed"}
    for status, title in {**titles, NOT_DONE: "Not done yet"}.items():
        found = [outcome for outcome in results.outcomes if outcome.status == status]
        if found:
            yield f"## {title}"
            yield "\n".join(_told(results, found))
            if status == NOT_DONE:
                yield "Type the command of this study again, and it does what is missing."


def _told(results: Results, outcomes: Sequence[Outcome]) -> Iterator[str]:
    by_row = itertools.groupby(outcomes, key=lambda outcome: (outcome.turn.row.label, outcome.reason))
    for (label, reason), group in by_row:
        numbers = [outcome.turn.repetition for outcome in group]
        which = "" if len(numbers) == results.study.repetitions else f", repetition {', '.join(map(str, numbers))}"
        yield f"- `{label}`{which}" + (f": {' / '.join(reason.splitlines())}" if reason else "")


def _commands(results: Results) -> Iterator[str]:
    yield "Each in a directory of its own below the current one; other repetitions: `seed=` counted up."
    lines: list[str] = []
    for row in results.plan.rows:
        turn = results.of(row)[0].turn
        run = f"{AGAIN}/{results.study.run_directory(turn).path.parent.name}"
        stages = results.study.commands(turn, run)
        lines += [f"# {row.label}", " && ".join(shlex.join([*PROGRAM, *stage]) for stage in stages.values())]
    yield "\n".join(["```bash", *lines, "```"])
