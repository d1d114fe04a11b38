"""`evaluate`: scores of a run's model, into the run's evaluation.json; a table on standard output."""

import shlex
from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig

from lstm_lm.cli.hydra.app import run_app
from lstm_lm.cli.hydra.plain_config import plain_config
from lstm_lm.cli.model_choice import ModelChoice, note_checkpoint
from lstm_lm.cli.progress import progress
from lstm_lm.cli.text_output import note, note_path
from lstm_lm.core_watch import CoreWatch
from lstm_lm.heavy_imports import heavy_imports
from lstm_lm.terminal import Terminal

NO_SWEEP = "evaluate scores one run, and has no sweeps (-m)\nrun it once for each run"


class CommandOptions(ModelChoice):
    """The keys and groups of `conf/evaluate.yaml`."""

    method: dict[str, Any]
    data: dict[str, Any]
    runtime: dict[str, Any]


def run(argv: Sequence[str], program: Sequence[str]) -> int:
    """`evaluate`, as `main.Verb` has it."""
    command = shlex.join([*program, *argv])
    return run_app("evaluate", lambda config: _evaluate(config, command), argv, program, no_multirun=NO_SWEEP)


def _evaluate(config: DictConfig, command: str) -> None:
    watch = CoreWatch()
    with heavy_imports():
        from lstm_lm.evaluation.evaluate import evaluate_loaded
        from lstm_lm.evaluation.methods import method_of
        from lstm_lm.reports.evaluation_picture import draw_evaluation
        from lstm_lm.reports.evaluation_table import evaluation_table
        from lstm_lm.runs import evaluation_file
        from lstm_lm.training.runtime.free_cores import free_threads
        from lstm_lm.training.runtime.settings import RuntimeOptions, runtime_settings

    options = CommandOptions.parse(plain_config(config), "")
    runtime = RuntimeOptions.parse(options.runtime, "runtime")
    method_of(options.method)
    if runtime.threads is None:
        threads, busy = free_threads(watch.free())
        runtime = runtime.model_copy(update={"threads": threads})
        if busy is not None:
            note(f"warning: {busy}")
    with runtime_settings(runtime), progress() as report:
        loaded = options.load()
        if loaded.run is not None:
            evaluation_file.read(loaded.run.evaluation)  # a damaged one is better found before the work
        note_checkpoint(loaded)
        found = evaluate_loaded(
            loaded,
            options.method,
            options.data,
            forward=options.forward,
            precision=options.precision_name,
            token_stream=runtime.token_stream,
            command=command,
            report=report,
        )
    if loaded.run is not None:  # before the table, which may go to a pipe that closes
        evaluation_file.put(loaded.run.evaluation, found["method"], found)
    console = Terminal()
    for part in evaluation_table(found):
        console.print(part)
    if loaded.run is None:
        note("not kept: this checkpoint does not lie in a run directory")
        return
    picture = loaded.run.evaluation_plot(found["method"])
    note_path(loaded.run.evaluation, f"its picture is {picture.name}" if draw_evaluation(found, picture) else "")
