"""What a person reads: before the first step what will run; at the end results, where they lie, what to type next."""

import logging
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lm import limits
from lstm_lm.models.build import model_class
from lstm_lm.printable import shortened
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import RuntimeSummary, SplitSummary, Summary
from lstm_lm.shell_words import shell_word
from lstm_lm.training.build import Parts
from lstm_lm.training.length import windows_per_epoch
from lstm_lm.training.observers.samples import sample_panel
from lstm_lm.training.plan import COMPLETE, Complete, Plan
from lstm_lm.training.runtime import memory_advice

log = logging.getLogger(__name__)

_COLUMNS = ("loss", "perplexity", "bits/character", "bits/byte")
MOST_ADDED = 12
"""New tokens that are shown."""
LONGEST_ADDED = 20
"""Characters of each."""
_WIDEST = 1000
"""Columns of a terminal that nobody has: more than a table of results can need."""


def warn(console: Console | None, line: str) -> None:
    """A line that a person should read, where one looks on."""
    if console is not None:
        console.print(Text(f"warning: {line}", style="yellow"))


def say_complete(console: Console | None, run: RunDirectory, complete: Complete) -> None:
    """That nothing is left to do; where nobody looks on, only what is not as was asked for."""
    if console is not None:
        console.print(Text(f"{run.path}: {complete.reason}"), soft_wrap=True)
    elif complete.reason != COMPLETE:
        log.warning("%s: %s", run.path, complete.reason)


def show_plan(console: Console, plan: Plan, parts: Parts, warnings: Sequence[str]) -> None:
    """Two aligned columns, warnings below them."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for what, value in _plan_rows(plan, parts):
        table.add_row(Text(what, style="dim"), Text(value))
    console.print(table)
    for warning in warnings:
        warn(console, warning)


def _plan_rows(plan: Plan, parts: Parts) -> Iterator[tuple[str, str]]:
    config, data, machine = plan.config, parts.data, parts.hardware
    options, manifest = data.options, data.manifest
    splits = ", ".join(f"{name} {split.tokens:,}" for name, split in manifest.splits.items())
    yield "text", f"{options.name}: {splits} tokens ({data.tokenizer.name}, {data.tokenizer.vocabulary_size:,})"
    if parts.added_tokens is not None:
        yield "added", _added(parts.added_tokens)
    memory = limits.gib(memory_advice.estimate(parts))
    parameters = f"{parts.model.num_parameters():,} parameters"
    yield "model", f"{config.top.model['name']}, {parameters}, about {memory} with optimizer and one window"
    yield "optimizer", config.optimizer.description(parts.model)
    yield "length", _length(plan, parts)
    yield "device", machine.label
    yield "precision", f"{machine.precision} ({machine.precision_reason})"
    compiled = config.compile.mode if config.compile.enabled else "none"
    yield "forward", f"{parts.choice.name} ({parts.choice.reason}), compile {compiled}"
    if data.placement.device.type != "cpu":
        where = f"on {data.placement.device}" if data.placement.on_device else "in the host's memory"
        yield "text lies", f"{where} ({data.placement.reason})"
    origin = "" if config.top.init_from is None else f", from the weights of {config.top.init_from}"
    yield (
        "run",
        f"{plan.run.path}" + (origin if plan.checkpoint is None else f", continued from {plan.checkpoint.path}"),
    )
    if plan.changed:
        yield "changed", "; ".join(plan.changed)


def _length(plan: Plan, parts: Parts) -> str:
    """`409 steps of 32 streams x 32 tokens; an epoch: 409, 418,528 tokens`, and what a step has besides."""
    options, windows = parts.data.options, plan.config.trainer["accumulate_grad_batches"]
    beside = "streams" if options.unit == "window" else f"{options.unit}s"
    many = "" if parts.team.size == 1 else f" x {parts.team.size} processes"
    accumulated = "" if windows == 1 else f" x {windows} accumulated"
    steps = "no limit: steps" if parts.total_steps is None else f"{parts.total_steps:,} steps"
    tokens = _tokens_per_epoch(plan, parts)
    return (
        f"{steps} of {options.batch_size} {beside} x {options.seq_len} tokens{many}{accumulated}; "
        f"an epoch: {parts.steps_per_epoch:,}, {tokens:,} tokens"
    )


def _added(tokens: Sequence[str]) -> str:
    if not tokens:
        return "no token: this text has none that is new"
    shown = ", ".join(repr(shortened(token, LONGEST_ADDED)) for token in tokens[:MOST_ADDED])
    more = f" and {len(tokens) - MOST_ADDED:,} more" if len(tokens) > MOST_ADDED else ""
    return f"{len(tokens):,} token{'s' * (len(tokens) > 1)} to the vocabulary: {shown}{more}"


def _tokens_per_epoch(plan: Plan, parts: Parts) -> int:
    """Tokens that an epoch trains on; of units under a limit, about."""
    data = parts.data
    windows = windows_per_epoch(plan.config.trainer, data.windows_per_epoch)
    if data.options.unit != "window":
        return data.predicted("train") * windows // data.windows_per_epoch
    streams = data.options.batch_size * parts.team.size
    return min(data.manifest.splits["train"].tokens // streams, windows * data.options.seq_len) * streams


def show_results(
    console: Console, summary: Summary, run: RunDirectory, sample: str | None, weights: str, hints: Sequence[str]
) -> None:
    """The final sample, written with `weights`, and below it the table of results."""
    if sample is not None:
        console.print(sample_panel(sample, f"sample from {weights}"))
    _show_scores(summary, console)
    for name, scores in (("validation", summary.val), ("test", summary.test)):
        if scores is not None and scores.shares:
            shown = ", ".join(f"{what} {share:.1%}" for what, share in scores.shares.items())
            console.print(f"{name}: {shown}", highlight=False)
    reasons = {scores.bits_per_byte_reason for scores in (summary.val, summary.test) if scores is not None} - {None}
    for reason in reasons:
        console.print(Text(f"no bits/byte: {reason}", style="dim"))
    train = summary.train
    speed = "" if train.tokens_per_second is None else f", {train.tokens_per_second:,.0f} tokens/s"
    steps = "1 step" if train.steps == 1 else f"{train.steps:,} steps"
    console.print(f"{summary.status} after {steps} in {_duration(train.seconds or 0)}{speed}", highlight=False)
    if summary.runtime.compile_graphs:
        console.print(_compiled(summary.runtime), highlight=False)
    for hint in hints:
        console.print(Text(hint, style="yellow"))
    shown = _named(run.path)
    profile = [f"profile {Path(shown, run.profiler.name)}"] if run.profiler.is_dir() else []
    for line in (
        *profile,
        f"run  {shown}",
        f"next {_next_in_python(summary, shown) if console.is_jupyter else _next(summary, shell_word(shown))}",
        f"     tensorboard --logdir {shell_word(_relative(run.path.parent))}",
    ):
        console.print(Text(line), soft_wrap=True)  # to be copied: never broken in the middle


def _show_scores(summary: Summary, console: Console) -> None:
    """A table; one line a number where the terminal is too narrow for it, which would cut numbers off."""
    table = Table(box=None, padding=(0, 2), header_style="dim", pad_edge=False)
    table.add_column("")
    for column in _COLUMNS:
        table.add_column(column, justify="right")
    rows = {
        name: _cells(scores)
        for name, scores in (("validation", summary.val), ("test", summary.test))
        if scores is not None
    }
    for name, cells in rows.items():
        table.add_row(name, *cells)
    if rows and console.measure(table, options=console.options.update(width=_WIDEST)).maximum <= console.width:
        console.print(table)
        return
    for name, cells in rows.items():
        for column, cell in zip(_COLUMNS, cells, strict=True):
            console.print(Text(f"{name} {column} {cell}"), soft_wrap=True)


def show_interrupted(console: Console, summary: Summary | None, run: RunDirectory) -> None:
    """Where an interrupted run stands, and how to continue it; without `summary` it had not begun."""
    if summary is None:
        console.print("interrupted before the first step; nothing was changed", highlight=False)
        return
    at = "" if summary.train.steps is None else f" at step {summary.train.steps:,}"
    shown = _named(run.path)
    kept = (
        f", saved in {Path(shown, run.last.relative_to(run.path))}"
        if run.last.exists()
        else "; no checkpoint was written"
    )
    console.print(Text(f"interrupted{at}{kept}"), soft_wrap=True)
    if run.profiler.is_dir():
        console.print(Text(f"profile {Path(shown, run.profiler.name)}"), soft_wrap=True)
    if run.last.exists() and console.is_jupyter:
        console.print(Text(f'continue: the same call with compose(..., "resume=auto") and {shown!r}'), soft_wrap=True)
    elif run.last.exists():
        again = f"{shell_word(f'hydra.run.dir={shown}')} resume=auto"
        sweep = {"-m", "--multirun"} & set(shlex.split(summary.command))
        command = "this job's settings, without -m, and" if sweep else "the same command with"
        console.print(Text(f"continue: {command} {again}"), soft_wrap=True)


def _next(summary: Summary, run: str) -> str:
    """What to type next to use `run`, quoted for a shell, called as somebody does who called `train` like this."""
    command = summary.command
    program = next((name for name in ("lstm-lm", "python -m lstm_lm") if command.startswith(f"{name} ")), None)
    if model_class(str(summary.model.name)).objective == "reconstruction":
        return f"{program or 'python -m lstm_lm'} embed run={run} data.path=FILE out=FILE.npy"
    return f'{f"{program} generate" if program else "python generate.py"} run={run} prompt="..."'


def _next_in_python(summary: Summary, run: str) -> str:
    if model_class(str(summary.model.name)).objective == "reconstruction":
        return _next(summary, shell_word(run))
    return f'lstm_lm.generate({run!r}, prompt="...")'


def _compiled(runtime: RuntimeSummary) -> str:
    fraction = "" if runtime.compiled_fraction is None else f", {runtime.compiled_fraction:.0%} of a step"
    again = f", {runtime.recompiles} compiled again after the first epoch" if runtime.recompiles else ""
    graphs = "1 graph" if runtime.compile_graphs == 1 else f"{runtime.compile_graphs} graphs"
    breaks = "1 break" if runtime.graph_breaks == 1 else f"{runtime.graph_breaks} breaks"
    return f"compile: {graphs}, {breaks}{fraction}, {runtime.compile_seconds or 0:.1f} s to compile{again}"


def _cells(scores: SplitSummary) -> list[str]:
    numbers = (scores.loss, scores.perplexity, scores.bits_per_character, scores.bits_per_byte)
    return ["-" if number is None else f"{number:,.4f}" for number in numbers]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 9.5 else f"{seconds:.2g} s"


def _named(run_dir: Path) -> str:
    """As short as a person would type it; whole where it is the current folder, as with Hydra's job.chdir."""
    return str(run_dir.resolve()) if run_dir.resolve() == Path.cwd() else _relative(run_dir)


def _relative(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
