"""What a person reads before the first step: what will run, in aligned lines."""

import logging
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from lstm_lm import limits
from lstm_lm.printable import printable, shortened
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.shell_words import short_path
from lstm_lm.terminal import say_labelled, say_whole
from lstm_lm.training.build import Parts
from lstm_lm.training.length import windows_per_epoch
from lstm_lm.training.plan import COMPLETE, Complete, Plan
from lstm_lm.training.runtime import memory_advice

log = logging.getLogger(__name__)

_LABEL = 11
"""Columns of what stands before a line."""
_SPLITS = {"validation": " val", "test": " test"}
LONGEST_TITLE = 20
"""Characters of a text's name."""
MOST_ADDED = 12
"""New tokens that are shown."""
LONGEST_ADDED = 20
"""Characters of each."""


def warn(console: Console | None, line: str) -> None:
    """A line that a person should read, where one looks on."""
    if console is not None:
        console.print(Text(f"warning: {line}", style="yellow"))


def say_complete(console: Console | None, run: RunDirectory, complete: Complete) -> None:
    """That nothing is left to do; where nobody looks on, only what is not as was asked for."""
    if console is not None:
        say_whole(console, "", short_path(run.path), complete.reason, width=0)
    elif complete.reason != COMPLETE:
        log.warning("%s: %s", run.path, complete.reason)


def show_plan(console: Console, plan: Plan, parts: Parts, warnings: Sequence[str]) -> None:
    """Two aligned columns, warnings below them."""
    for what, value in _plan_rows(plan, parts):
        say_labelled(console, what, value, _LABEL)
    say_whole(console, "run", short_path(plan.run.path), width=_LABEL)
    for what, value in _origin_rows(plan):
        say_labelled(console, what, value, _LABEL)
    for warning in warnings:
        warn(console, warning)


def _plan_rows(plan: Plan, parts: Parts) -> Iterator[tuple[str, str]]:
    config, data, machine = plan.config, parts.data, parts.hardware
    options, manifest = data.options, data.manifest
    splits = " + ".join(f"{split.tokens:,}{_SPLITS.get(name, '')}" for name, split in manifest.splits.items())
    title = shortened(printable(options.title), LONGEST_TITLE)
    yield "text", f"{title}: {splits} tokens ({data.tokenizer.name}, {data.tokenizer.vocabulary_size:,})"
    if parts.added_tokens is not None:
        yield "added", _added(parts.added_tokens)
    memory = limits.gib(memory_advice.estimate(parts))
    parameters = f"{parts.model.num_parameters():,} parameters"
    yield "model", f"{config.top.model['name']}, {parameters}, about {memory} to train"
    yield "optimizer", config.optimizer.description(parts.model)
    yield "length", _length(plan, parts)
    yield "device", machine.label
    yield "precision", f"{machine.precision} ({machine.precision_reason})"
    yield "forward", f"{parts.choice.name} ({parts.choice.reason})"
    if config.compile.enabled:
        yield "compile", config.compile.mode
    if data.placement.device.type != "cpu":
        where = f"on {data.placement.device}" if data.placement.on_device else "in the host's memory"
        yield "text lies", f"{where} ({data.placement.reason})"


def _origin_rows(plan: Plan) -> Iterator[tuple[str, str]]:
    """What it begins with, where that is not nothing."""
    origin = plan.config.top.init_from
    if plan.checkpoint is not None:
        yield "", f"continued from {short_path(plan.checkpoint.path)}"
    elif origin is not None:
        yield "", f"from the weights of {origin}"
    if plan.changed:
        yield "changed", "; ".join(plan.changed)


def _length(plan: Plan, parts: Parts) -> str:
    """`409 steps of 32 streams x 32 tokens; an epoch: 409, 418,528 tokens`, and what a step has besides."""
    options, windows = parts.data.options, plan.config.trainer["accumulate_grad_batches"]
    beside = "streams" if options.unit == "window" else f"{options.unit}s"
    many = "" if parts.team.size == 1 else f" x {parts.team.size} processes"
    accumulated = "" if windows == 1 else f" x {windows} accumulated"
    steps = (
        "no limit: steps"
        if parts.total_steps is None
        else f"{parts.total_steps:,} step{'s' * (parts.total_steps != 1)}"
    )
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
