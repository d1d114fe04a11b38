"""`runs`: what runs there are, how their configurations differ, how their curves went. Reads, and changes nothing."""

import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from omegaconf import DictConfig
from pydantic import BeforeValidator, Field, field_validator
from rich.console import RenderableType

from lstm_lm.cli.hydra.app import run_app
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.hydra.resolvers import key_of
from lstm_lm.cli.text_output import note, note_path, print_lines
from lstm_lm.errors import UserError
from lstm_lm.flat_keys import flat_keys
from lstm_lm.options import Options
from lstm_lm.reports import run_list
from lstm_lm.reports.run_list import Format
from lstm_lm.runs import evaluation_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.listing import DAMAGED, DIED, UNKNOWN, Entry, entry_of, list_runs
from lstm_lm.runs.lookup import named_run
from lstm_lm.runs.outputs import PICTURES, claim_output
from lstm_lm.runs.selection import Where, of_one_text, select
from lstm_lm.runs.summary import Status, read_if_whole
from lstm_lm.terminal import Terminal

NO_SWEEP = "runs only looks at runs, and has no sweeps (-m)"
ROWS_OF_A_TABLE = 30
CONTEXT = "context"
"""The `metric` that is no curve of training."""


def _listed(value: object) -> object:
    return () if value is None else (value,) if not isinstance(value, list) else tuple(value)


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
"""One text, a list of them, or null: none."""


class WhereOptions(Options):
    """The section `where`; its keys may be typed without the section's name."""

    status: Texts
    data: Texts
    model: Texts
    folder: Texts
    match: Texts

    @field_validator("status")
    @classmethod
    def _is_one(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        known = (*get_args(Status), DIED, DAMAGED, UNKNOWN)
        if wrong := [name for name in value if name not in known]:
            raise ValueError(f"status={wrong[0]} is none of {', '.join(known)}")
        return value


class RunsOptions(Options):
    """The keys of `conf/runs.yaml`."""

    runs_dir: str
    runs: Texts
    where: WhereOptions
    sort: str
    limit: Annotated[int, Field(ge=1)] | Literal["auto"] | None
    format: Format
    diff: Texts
    plot: str | None
    overwrite: bool
    metric: str
    over: Literal["steps", "tokens", "seconds"]
    log: Literal["none", "x", "y", "both"]
    title: str | None

    @field_validator("where", mode="before")
    @classmethod
    def _where(cls, value: Any) -> WhereOptions:
        return WhereOptions.parse(value, "where")


def run(argv: Sequence[str], program: Sequence[str]) -> int:
    """`runs`, as `main.Verb` has it."""
    return run_app("runs", _runs, [_in_section(word) for word in argv], program, no_multirun=NO_SWEEP)


def _in_section(word: str) -> str:
    """`data=text` -> `where.data=text`: to Hydra, `data` and `model` by themselves are the groups of those names."""
    return f"where.{word}" if "=" in word and key_of(word) in WhereOptions.model_fields else word


def _runs(config: DictConfig) -> None:
    options = RunsOptions.parse(plain_config(config), "")
    if options.diff and options.plot is not None:
        raise UserError("diff= and plot=: one at a time")
    if options.diff:
        _show_differences(options)
    elif options.plot is not None:
        _draw(options, _target(options.plot, overwrite=options.overwrite))
    else:
        _show(options)


def _show(options: RunsOptions) -> None:
    everything, chosen = _chosen(options)
    most = ROWS_OF_A_TABLE if options.format == "table" else None
    limit = most if options.limit == "auto" else options.limit
    shown, now = chosen[:limit], time.time()
    if options.format == "table":
        if shown:
            _print(run_list.table(shown, now))
        _count(len(shown), len(chosen), everything, options)
    elif options.format == "csv":
        print_lines(run_list.as_csv(shown, now))
    else:
        print_lines(run_list.as_json(shown, now))


def _count(shown: int, chosen: int, everything: int, options: RunsOptions) -> None:
    if not everything:
        note(f"no runs below {options.runs_dir} yet; to make one: python train.py")
    elif not chosen:
        note(f"none of the {everything:,} runs below {options.runs_dir} fits")
    elif shown < chosen:
        note(f"{chosen - shown:,} more: limit=null shows all")


def _show_differences(options: RunsOptions) -> None:
    from lstm_lm.runs.configuration import differences, read_config

    if len(options.diff) < 2:
        raise UserError("diff: needs two runs or more\nwrite diff=[A,B]")
    runs = [named_run(name, Path(options.runs_dir), "diff") for name in options.diff]
    rows = differences([flat_keys(read_config(found)) | _tuned(found) for found in runs])
    if options.format == "csv":
        print_lines(run_list.differences_csv(options.diff, rows))
    elif options.format == "json":
        print_lines(run_list.differences_json(options.diff, rows))
    elif rows:
        _print(run_list.differences_table(options.diff, rows))
    else:
        note("their configurations are the same")


def _tuned(run: RunDirectory) -> dict[str, Any]:
    """What `tune=` or `budget=` chose in place of what was typed, by its key."""
    found = read_if_whole(run.summary)
    return dict(found.tuning.chosen) if found is not None and found.tuning is not None else {}


def _draw(options: RunsOptions, target: Path) -> None:
    from lstm_lm.reports.curves import draw_curves
    from lstm_lm.reports.evaluation_picture import draw_contexts
    from lstm_lm.reports.figure import save
    from lstm_lm.reports.palette import MOST
    from lstm_lm.reports.run_labels import run_labels
    from lstm_lm.runs.curves import read_curves

    everything, fitting = _chosen(options)
    filtered = options.runs or any(getattr(options.where, key) for key in WhereOptions.model_fields)
    chosen = fitting if filtered else of_one_text(fitting)
    others = len(fitting) - len(chosen)
    if options.limit != "auto":
        chosen = chosen[: options.limit]
    if not chosen:
        _count(0, 0, everything, options)
        raise UserError("plot: no run to draw\nchoose some with runs=[A,B], or see what there is without plot=")
    if len(chosen) > MOST:
        raise UserError(
            f"plot: {len(chosen):,} runs, and no more than {MOST} lines can be told apart\n"
            "choose some: runs=[A,B], limit=10, folder=sweeps/NAME, match=TEXT, ..."
        )
    found: dict[str, Any] = {}
    problems = []
    is_context = options.metric == CONTEXT
    for label, entry in zip(run_labels([entry.run for entry in chosen]), chosen, strict=True):
        run = RunDirectory(entry.path)
        try:
            found[label] = _context_of(run) if is_context else read_curves(run, options.metric, options.over)
        except UserError as error:
            problems.append(str(error))
    told = f"{others:,} on other texts than the newest run's; data=NAME draws those on one, runs=[A,B] any"
    if not found or (options.runs and problems):  # of runs that were named, each is wanted
        same = [f"the same goes for {len(problems) - 1} more"] if len(problems) > 1 else []
        raise UserError("\n".join([problems[0], *same, *([f"there are {told}"] if others else [])]))
    for problem in problems:
        note(f"left out: {problem.splitlines()[0]}")
    if others:
        note(f"left out: {told}")
    title = options.title or ""
    if is_context:
        figure = draw_contexts(found, title=title)
    else:
        figure = draw_curves(found, metric=options.metric, over=options.over, log=options.log, title=title)
    save(figure, target, new=not options.overwrite)
    note_path(target, f"{len(found)} {'run' if len(found) == 1 else 'runs'}")


def _context_of(run: RunDirectory) -> dict[str, Any]:
    """What `evaluate method=context` has found of it.

    Raises:
        UserError: it has not been run, or its file cannot be read.
    """
    section = evaluation_file.read(run.evaluation).get(CONTEXT)
    if section is None:
        raise UserError(f"{run.path}: not evaluated: python -m lstm_lm evaluate run={run.path} method=context")
    return dict(section)


def _chosen(options: RunsOptions) -> tuple[int, list[Entry]]:
    """How many runs there are, and those that are asked for, in order."""
    runs_dir = Path(os.path.expanduser(options.runs_dir))
    if options.runs:
        entries = [entry_of(named_run(name, runs_dir, "runs"), runs_dir) for name in options.runs]
    else:
        entries = list_runs(runs_dir)
    where = options.where
    wanted = Where(where.status, where.data, where.model, where.folder, where.match)
    return len(entries), select(entries, wanted, options.sort)


def _target(plot: str, *, overwrite: bool) -> Path:
    target = Path(os.path.expanduser(plot))
    claim_output(target, "plot", *PICTURES, overwrite=overwrite)
    return target


def _print(table: RenderableType) -> None:
    """To a terminal in its width; to a file or a pipe in lines as long as they must be."""
    console = Terminal()
    if console.is_terminal:
        console.print(table, crop=False)
        return
    text = io.StringIO()
    Terminal(file=text, width=10_000).print(table)
    print("\n".join(line.rstrip() for line in text.getvalue().splitlines()))
