"""What there is to say about each run below a folder, from its small files alone: finished, running, or damaged.

Files are read leniently: what an older or newer version wrote, or a crash left, costs a run some of its columns, never
its line, and never the others theirs. No checkpoint is opened.
"""

import contextlib
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from lstm_lm.errors import UserError
from lstm_lm.flat_keys import at
from lstm_lm.runs import metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.json_file import read_json
from lstm_lm.runs.lock import is_held
from lstm_lm.runs.lookup import all_runs

RUNNING: Final = "running"
DIED: Final = "interrupted?"
"""Says that it is running, but no process of this user on this machine trains there."""
DAMAGED: Final = "damaged"
"""Its summary.json cannot be read."""
UNKNOWN: Final = "unknown"
"""It has no summary.json, or one without a status."""

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Entry:
    """A run as a line of a list. What is not known is None."""

    run: str
    """Its path below the folder that was searched."""
    path: Path
    status: str
    """The summary's, or one of this module's."""
    reason: str | None
    """Why it was skipped or failed."""
    data: str | None
    title: str | None
    """What a person calls the data: a file's name."""
    model: str | None
    parameters: int | None
    loss: float | None
    """Validation loss of the best checkpoint (so far), nats per token."""
    perplexity: float | None
    bits_per_byte: float | None
    train_loss: float | None
    """Of the last optimizer step (that was logged), nats per token."""
    steps: int | None
    seconds: float | None
    tokens_per_second: float | None
    step_ms: float | None
    device: str | None
    precision: str | None
    forward: str | None
    seed: int | None
    command: str | None
    modified: float
    """When its summary or metrics last changed; seconds since 1970."""


def list_runs(runs_dir: Path) -> list[Entry]:
    """All runs below `runs_dir`, at any depth.

    Raises:
        UserError: there is no such folder.
    """
    if not runs_dir.is_dir():
        raise UserError(
            f"{runs_dir}: no such folder\nruns are looked for in runs_dir=DIR; to make one: python train.py"
        )
    return [entry_of(run, runs_dir) for run in all_runs(runs_dir)]


def entry_of(run: RunDirectory, runs_dir: Path) -> Entry:
    """The line of one run."""
    modified = max(_modified(run.metrics), _modified(run.summary)) or _modified(run.path)
    found, status = _summary(run)
    if status == RUNNING and not is_held(run.path):
        status = DIED
    values = _Values(found)
    live = _Values(_from_metrics(run) if values.number("val.loss") is None else {})
    config = _config_names(run) if found is None else {}
    below = run.path.relative_to(runs_dir) if run.path.is_relative_to(runs_dir) else run.path
    return Entry(
        run=run.path.resolve().name if below == Path() else str(below),
        path=run.path,
        status=status,
        reason=values.text("reason"),
        data=values.text("data.name") or config.get("data"),
        title=values.text("data.title"),
        model=values.text("model.name") or config.get("model"),
        parameters=values.whole("model.parameters"),
        loss=_first(values.number("val.loss"), live.number("val/loss")),
        perplexity=_first(values.number("val.perplexity"), live.number("val/perplexity")),
        bits_per_byte=_first(values.number("val.bits_per_byte"), live.number("val/bits_per_byte")),
        train_loss=_first(values.number("train.loss"), live.number("train/loss")),
        steps=_first(values.whole("train.steps"), live.whole("step")),
        seconds=values.number("train.seconds"),
        tokens_per_second=_first(values.number("train.tokens_per_second"), live.number("train/tokens_per_second")),
        step_ms=_first(values.number("train.step_ms"), live.number("train/step_ms")),
        device=values.text("runtime.device"),
        precision=values.text("runtime.precision"),
        forward=values.text("runtime.forward"),
        seed=values.whole("seed"),
        command=values.text("command"),
        modified=modified or time.time(),
    )


def training_tokens(run: RunDirectory) -> int | None:
    """Tokens of the training split; None where that is not known."""
    return _Values(_summary(run)[0]).whole("data.tokens")


def _first(known: _Value | None, logged: _Value | None) -> _Value | None:
    return logged if known is None else known


@dataclass(frozen=True)
class _Values:
    """Values of a JSON document that may be of any shape: each is there, with the right type, or None."""

    document: object

    def text(self, key: str) -> str | None:
        value = at(self.document, key)
        return value if isinstance(value, str) else None

    def number(self, key: str) -> float | None:
        value = at(self.document, key)
        return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

    def whole(self, key: str) -> int | None:
        value = at(self.document, key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None


def _summary(run: RunDirectory) -> tuple[object, str]:
    """The document (None: there is none that can be read) and the status."""
    try:
        document: object = read_json(run.summary)
    except FileNotFoundError:
        return None, RUNNING if is_held(run.path) else UNKNOWN
    except (OSError, ValueError):
        return None, DAMAGED
    if not isinstance(document, dict):
        return None, DAMAGED
    return document, _Values(document).text("status") or UNKNOWN


def _from_metrics(run: RunDirectory) -> dict[str, float]:
    """Of a run that has no scores in its summary: the last value of each column, and of scores those of the best."""
    latest: dict[str, float] = {}
    best: dict[str, float] = {}
    try:
        for row in metrics_file.rows(run.metrics):
            latest |= row
            loss = row.get("val/loss", math.nan)
            if math.isfinite(loss) and loss < best.get("val/loss", math.inf):
                best = row
    except UserError:  # missing or damaged: then that much is not known
        return {}
    known = latest | {name: value for name, value in best.items() if name.startswith("val/")}
    return {name: value for name, value in known.items() if math.isfinite(value)}


def _config_names(run: RunDirectory) -> dict[str, str]:
    """Of a run without a readable summary: what it says of data and model where it keeps its configuration."""
    from lstm_lm.runs.configuration import read_config

    names: dict[str, str] = {}
    with contextlib.suppress(UserError):
        config = _Values(read_config(run))
        for section in ("data", "model"):
            if (name := config.text(f"{section}.name")) is not None:
                names[section] = name
    return names


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
