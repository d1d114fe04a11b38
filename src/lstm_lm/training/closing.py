"""What a person reads at a run's end: results, what they mean, what they cost, where they lie, what to type next."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lstm_lm import limits
from lstm_lm.data.module import TextDataModule
from lstm_lm.durations import duration
from lstm_lm.models.build import model_class
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import JudgementSummary, RuntimeSummary, SplitSummary, Summary
from lstm_lm.shell_words import shell_word, short_path
from lstm_lm.terminal import say, say_labelled, say_whole
from lstm_lm.training.judgement import FEWEST_STEPS, FEWEST_VALIDATIONS, WIDE
from lstm_lm.training.observers.excerpt import Excerpt

_COLUMNS = ("loss", "perplexity", "bits/character", "bits/byte")
_WIDEST = 1000
"""Columns of a terminal that nobody has: more than a table of results can need."""
_MANY = 10
"""Lines or documents that are suggested to be written."""
_TOKENS = {"char": "characters", "byte": "bytes", "word": "words", "whitespace": "words"}
"""What a tokenizer's are called; of others `tokens`."""


def show_results(
    console: Console,
    summary: Summary,
    run: RunDirectory,
    sample: Excerpt | None,
    weights: str,
    hints: Sequence[str],
    *,
    data: TextDataModule | None = None,
) -> None:
    """The final sample, written with `weights`; the table of results, and what a person makes of it.

    Args:
        console: where they look on.
        summary: of the run.
        run: its directory.
        sample: of its text; None: none was asked for.
        weights: whose it is.
        hints: one line each.
        data: what it was trained on; None: running text.
    """
    if sample is not None:
        console.print(Text(f"sample from {weights}", style="dim"))
        console.print(sample)
    _show_scores(summary, console)
    for name, scores in (("val", summary.val), ("test", summary.test)):
        if scores is not None and scores.shares:
            shown = ", ".join(f"{what} {share:.1%}" for what, share in scores.shares.items())
            console.print(f"{name}: {shown}", highlight=False)
    reasons = {scores.bits_per_byte_reason for scores in (summary.val, summary.test) if scores is not None} - {None}
    for reason in reasons:
        console.print(Text(f"no bits/byte: {reason}", style="dim"))
    tokens = "tokens" if data is None else _TOKENS.get(data.tokenizer.name, "tokens")
    for label, line in (*_meaning(summary, tokens), *_cost(summary)):
        say_labelled(console, label, line)
    for hint in hints:
        say(console, hint, "yellow")
    shown = short_path(run.path)
    if run.profiler.is_dir():
        say_whole(console, "profile", str(Path(shown, run.profiler.name)))
    how = 'prompt="..."' if data is None or data.options.unit == "window" else f"num_samples={_MANY}"
    say_whole(console, "run", shown)
    next_ones = [f"tensorboard --logdir {shell_word(short_path(run.path.parent))}"]
    if run.best.exists() or run.last.exists():  # trainer.fast_dev_run leaves none, nor does enable_checkpointing=false
        use = _next_in_python(summary, shown, how) if console.is_jupyter else _next(summary, shell_word(shown), how)
        next_ones.insert(0, use)
    for label, line in zip(("next", ""), next_ones, strict=False):
        say_whole(console, label, line)


def _meaning(summary: Summary, tokens: str) -> Iterator[tuple[str, str]]:
    """At most three lines: what the loss means, what its curve says, what to try."""
    found, val = summary.judgement, summary.val
    if found is None:
        return
    model = summary.model.name
    if (
        val is not None
        and val.loss is not None
        and found.frequencies_loss is not None
        and model is not None
        and model_class(model).objective != "reconstruction"
    ):
        yield "loss", _torn(val.loss, found.frequencies_loss, tokens)
    if said := _curve(found, summary):
        yield "curve", said
    if found.advice is not None:
        yield "try", found.advice + _of_which_run(found.advice)


def _of_which_run(advice: str) -> str:
    """Of a longer training, whether it goes on with this run; anything else is another one."""
    if "resume=auto" in advice:
        return " (continues this hydra.run.dir)"
    return " (a new run)" if advice.startswith(("trainer.max_", "budget=")) else ""


def _torn(loss: float, frequencies: float, tokens: str) -> str:
    """Between how many equally likely tokens a model of such a loss would waver, and one of frequencies alone."""
    ours, theirs = (_count(math.exp(min(nats, 700.0))) for nats in (loss, frequencies))
    if loss >= frequencies:
        return f"no better yet than guessing by the {tokens}' frequencies alone: {theirs}"
    return f"wavers between {ours} {tokens}; by their frequencies alone: {theirs}"


def cost(summary: Summary) -> str:
    """How it ended, and what that took: `completed after 30 steps in 2 s, 35,948 tokens/s`."""
    train = summary.train
    speed = "" if train.tokens_per_second is None else f", {train.tokens_per_second:,.0f} tokens/s"
    steps = "1 step" if train.steps == 1 else f"{train.steps or 0:,} steps"
    ended = summary.status + (f" by {summary.reason}" if summary.status == "stopped" and summary.reason else "")
    return f"{ended} after {steps} in {duration(train.seconds or 0)}{speed}"


def _cost(summary: Summary) -> Iterator[tuple[str, str]]:
    memory = summary.runtime.peak_memory_bytes
    yield "cost", cost(summary) + ("" if memory is None else f", peak {limits.gib(memory)}")
    if summary.runtime.compile_graphs:
        yield "compile", _compiled(summary.runtime)


def _count(number: float) -> str:
    return f"{number:.1f}" if number < 100 else f"{number:,.0f}" if number < 1e9 else f"{number:.1g}"


def _curve(found: JudgementSummary, summary: Summary) -> str | None:
    steps = summary.train.steps or 0
    per = "over its last third" if found.fall_per == "third" else "per doubling of its steps"
    best = f"step {found.best_step or 0:,} of {steps:,} was best"
    rise, gap, fall = (number or 0.0 for number in (found.rise, found.gap, found.fall))
    match found.kind:
        case "overfitted":
            return f"overfit: {best}, by {rise:.2g}; generate uses it"
        case "unstable":
            return f"{best}, by {rise:.2g}; then training rose, too"
        case "short" if steps < FEWEST_STEPS:
            return f"too few steps to judge: {steps:,}"
        case "short":
            return "too early to judge: it has not read all of the text once"
        case "falling":
            return f"still fell: {fall:.3f} lower {per}"
        case "ahead":
            where = "its end" if found.best_step == steps else f"step {found.best_step or 0:,}"
            return f"best at {where}, training {gap:.2g} ahead: longer would overfit"
        case "level" if gap > WIDE * (found.loss or 0.0):
            return f"levelled off, training {gap:.2g} ahead: it learns the text by heart"
        case "level":
            return f"levelled off: {max(fall, 0.0):.3f} lower {per}"
        case "unclear" if not found.validations:
            return "not judged: there was no validation"
        case "unclear" if found.validations < FEWEST_VALIDATIONS:
            many = "1 validation" if found.validations == 1 else f"{found.validations} validations"
            return f"{many}: too few to say whether the loss still fell"
        case "unclear" if found.fall is not None:
            return f"not clear: {fall:.3f} lower {per}, and noise of {found.noise or 0.0:.3f}"
        case "unclear":
            return f"{best}, within their noise"
    return None


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
    shown = short_path(run.path)
    if run.last.exists():
        say_whole(console, f"interrupted{at}, saved in", str(Path(shown, run.last.relative_to(run.path))))
    else:
        say(console, f"interrupted{at}; no checkpoint was written")
    if run.profiler.is_dir():
        say_whole(console, "profile", str(Path(shown, run.profiler.name)))
    if run.last.exists() and console.is_jupyter:
        say_whole(console, 'continue: the same call with compose(..., "resume=auto") and', repr(shown))
    elif run.last.exists():
        again = f"{shell_word(f'hydra.run.dir={shown}')} resume=auto"
        say_whole(console, "continue: the same command with", again)


def _next(summary: Summary, run: str, how: str) -> str:
    """What to type next to use `run`, quoted for a shell, called as somebody does who called `train` like this."""
    command = summary.command
    program = next((name for name in ("lstm-lm", "python -m lstm_lm") if command.startswith(f"{name} ")), None)
    if model_class(str(summary.model.name)).objective == "reconstruction":
        return f"{program or 'python -m lstm_lm'} embed run={run} data.path=FILE out=FILE.npy"
    return f"{f'{program} generate' if program else 'python generate.py'} run={run} {how}"


def _next_in_python(summary: Summary, run: str, how: str) -> str:
    if model_class(str(summary.model.name)).objective == "reconstruction":
        return _next(summary, shell_word(run), how)
    return f"lstm_lm.generate({run!r}, {how})"


def _compiled(runtime: RuntimeSummary) -> str:
    fraction = "" if runtime.compiled_fraction is None else f", {runtime.compiled_fraction:.0%} of a step"
    again = f", {runtime.recompiles} compiled again after the first epoch" if runtime.recompiles else ""
    graphs = "1 graph" if runtime.compile_graphs == 1 else f"{runtime.compile_graphs} graphs"
    breaks = "1 break" if runtime.graph_breaks == 1 else f"{runtime.graph_breaks} breaks"
    return f"{graphs}, {breaks}{fraction}, {duration(runtime.compile_seconds or 0)} to compile{again}"


def _cells(scores: SplitSummary) -> list[str]:
    numbers = (scores.loss, scores.perplexity, scores.bits_per_character, scores.bits_per_byte)
    return ["-" if number is None else f"{number:,.4f}" for number in numbers]
