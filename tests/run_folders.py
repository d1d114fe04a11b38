"""Run directories as a run leaves them, without training."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.metrics_file import MetricsFile
from lstm_lm.runs.summary import DataSummary, ModelSummary, SplitSummary, Status, Summary, TrainSummary


def make_run(
    path: Path,
    *,
    status: Status = "completed",
    data: str = "text",
    model: str = "lstm",
    parameters: int = 1000,
    loss: float | None = 2.0,
    speed: float | None = 100.0,
    command: str = "python train.py",
    config: str | None = None,
    metrics: Mapping[int, Mapping[str, float]] | None = None,
) -> RunDirectory:
    """A run directory with a summary and, where given, a configuration (YAML) and metrics by step."""
    run = RunDirectory(path)
    run.create()
    summary = Summary(
        command=command,
        git_commit=None,
        versions={},
        seed=1,
        status=status,
        reason="because" if status in ("failed", "skipped") else None,
        model=ModelSummary(name=model, parameters=parameters),
        data=DataSummary(name=data, tokens=1000, vocabulary_size=10),
        train=TrainSummary(tokens_per_second=speed),
        val=None if loss is None else SplitSummary(loss=loss, bits_per_byte=loss * 1.5),
    )
    summary.write(run.summary)
    if config is not None:
        run.config.parent.mkdir()
        run.config.write_text(config, encoding="utf-8")
    if metrics is not None:
        file = MetricsFile(run.metrics)
        for step, values in metrics.items():
            file.add(step, values)
        file.sync(open_row=True)
    return run


def fields(entry: object, *names: str) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in names}
