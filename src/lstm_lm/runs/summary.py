"""`summary.json`: what was run, how, and what came out. With `metrics.csv`, the interface for scripts."""

import html
import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lstm_lm.display import spelled_out
from lstm_lm.durations import duration
from lstm_lm.errors import UserError
from lstm_lm.runs import atomic
from lstm_lm.runs.regular_file import read_regular

SCHEMA_VERSION: Final = 1

Status = Literal["running", "completed", "stopped", "interrupted", "failed", "skipped"]

_PACKAGES = ("torch", "lightning", "torchmetrics", "hydra-core", "omegaconf", "numpy", "tokenizers", "tensorboard")
_GIT_SECONDS = 5.0


class _Section(BaseModel):
    """A part of the summary. What is not known (yet) is None; a typing error in a name or a type raises at once."""

    # JSON has no NaN and no infinity: they are written as null.
    model_config = ConfigDict(
        defer_build=True, extra="forbid", strict=True, validate_assignment=True, ser_json_inf_nan="null"
    )


class ModelSummary(_Section):
    """What was trained."""

    name: str | None = None
    parameters: int | None = None


class DataSummary(_Section):
    """What it was trained on; `tokens` counts the training split.

    `title`: what a person calls it: of a text of one's own the file's name; else `name`.
    `added_tokens`: what `data.unknown=extend` has added to the vocabulary; None: that was not asked for.
    """

    name: str | None = None
    title: str | None = None
    tokens: int | None = None
    vocabulary_size: int | None = None
    added_tokens: list[str] | None = None


class TrainSummary(_Section):
    """How training went. `loss`: nats per token, of the last optimizer step.

    `tokens_per_second` and `step_ms` are medians of the wall time from one step's start to the next's, loading and
    logging included, validation and sampling not, the first 10 steps left out.
    """

    loss: float | None = None
    steps: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    tokens_per_second: float | None = None
    step_ms: float | None = None


class SplitSummary(_Section):
    """Scores of one split, under the best checkpoint. `loss`: nats per token, over `tokens` of them.

    `bits_per_byte` is None, and `bits_per_byte_reason` says why, where tokens were replaced by an unknown token, or the
    loss is no code length. `shares`: what else the objective counts, 0 to 1, by name.
    """

    loss: float | None = None
    tokens: int | None = None
    perplexity: float | None = None
    bits_per_character: float | None = None
    bits_per_byte: float | None = None
    bits_per_byte_reason: str | None = None
    shares: dict[str, float] | None = None


class RuntimeSummary(_Section):
    """On what and how it ran. `forward`: the strategy that ran; `compile_graphs`: those the training step runs.

    `compiled_fraction`: 0 to 1, of the step's time, spent in them; `recompiles`: compilations after the first epoch;
    `compile_seconds`: wall time spent compiling;
    `warnings`: those shown before the first step, of settings that cost time;
    `settings`: those of the process that were in force, by the names of the `runtime` section, defaults resolved.
    """

    device: str | None = None
    precision: str | None = None
    forward: str | None = None
    forward_reason: str | None = None
    warnings: list[str] | None = None
    compile_graphs: int | None = None
    graph_breaks: int | None = None
    compiled_fraction: float | None = None
    compile_seconds: float | None = None
    recompiles: int | None = None
    settings: dict[str, bool | int | str | None] | None = None
    peak_memory_bytes: int | None = None
    startup_seconds: float | None = None


class TuningSummary(_Section):
    """What was chosen before training (`tune=`, `budget=`): `chosen` holds keys of the configuration and their values.

    `seconds` is what the measuring took; `speedup` the speed of what was chosen, against what would have run otherwise;
    `learning_rate` what `tune=lr` proposes, whether or not it is chosen; `reason` why `budget=` chose so; `typed` how
    the choice is typed.
    """

    name: str
    chosen: dict[str, bool | int | float | str | None]
    seconds: float
    speedup: float | None = None
    learning_rate: float | None = None
    reason: str | None = None
    typed: str | None = None


class JudgementSummary(_Section):
    """What the validation curve says (`lstm_lm.training.judgement`, which has the rules); losses in nats per token.

    `kind`: `short`, `overfitted`, `unstable`, `falling`, `ahead`, `level` or `unclear`; `best_step`: of the lowest
    validation loss; `loss`: of the last validation, and `rise`: from the lowest one to it; `gap`: `loss` over the
    training loss, beyond what it was in the first pass; `fall`: by which it is judged whether the loss still fell, per
    `doubling` of the steps or over the last `third` (`fall_per`); `noise`: of one of the `validations`.
    `frequencies_loss`: what the best guess from the validation split's own token frequencies alone would have (its
    order-0 entropy); `advice`: keys to try next, as they are typed.
    """

    kind: str
    validations: int = 0
    best_step: int | None = None
    loss: float | None = None
    rise: float | None = None
    gap: float | None = None
    fall: float | None = None
    fall_per: str | None = None
    noise: float | None = None
    frequencies_loss: float | None = None
    advice: str | None = None


class LoggerSummary(_Section):
    """One of Lightning's loggers that has listened: its class, and what it calls this run (an id, a version)."""

    name: str
    version: str


class Summary(_Section):
    """The whole file.

    `reason` says why a run was skipped or failed, or what stopped it; `val` and `test` are None where there is none.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    command: str
    git_commit: str | None
    versions: dict[str, str | None]
    seed: int | None
    status: Status
    reason: str | None = None
    model: ModelSummary = Field(default_factory=ModelSummary)
    data: DataSummary = Field(default_factory=DataSummary)
    train: TrainSummary = Field(default_factory=TrainSummary)
    val: SplitSummary | None = None
    test: SplitSummary | None = None
    runtime: RuntimeSummary = Field(default_factory=RuntimeSummary)
    tuning: TuningSummary | None = None
    judgement: JudgementSummary | None = None
    loggers: list[LoggerSummary] | None = None

    @property
    def ended_well(self) -> bool:
        """Whether training came to its end, or to one of its limits."""
        return self.status in ("completed", "stopped")

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """What a notebook shows: what came out, in a small table."""
        facts = dict(self._facts())
        rows = (f"<tr><th>{html.escape(what)}</th><td>{html.escape(value)}</td></tr>" for what, value in facts.items())
        plain = "\n".join(f"{what:10}  {value}" for what, value in facts.items())
        return {"text/html": f"<table>{''.join(rows)}</table>", "text/plain": plain}

    def _facts(self) -> Iterator[tuple[str, str]]:
        yield "status", self.status + (f": {self.reason}" if self.reason else "")
        if self.model.name is not None and self.model.parameters is not None:
            yield "model", f"{self.model.name}, {self.model.parameters:,} parameters"
        if self.data.name is not None and self.data.tokens is not None:
            yield "text", f"{self.data.title or self.data.name}, {self.data.tokens:,} tokens"
        if self.train.steps is not None and self.train.seconds is not None:
            yield "training", f"{self.train.steps:,} steps in {duration(self.train.seconds)}"
        for what, scores in (("validation", self.val), ("test", self.test)):
            if scores is not None and scores.loss is not None:
                bits = scores.bits_per_byte
                yield what, f"{scores.loss:.4f} nats/token" + ("" if bits is None else f", {bits:.4f} bits/byte")

    @classmethod
    def begin(cls, command: str, seed: int | None) -> Self:
        """The summary of a run that starts now, in this process, with everything but its results filled in."""
        return cls(command=command, git_commit=git_commit(), versions=versions(), seed=seed, status="running")

    def write(self, path: Path) -> None:
        """Make this the content of `path`, all or nothing.

        Raises:
            ValueError: the run was skipped or failed, but `reason` is None.
            RunError: the file cannot be written.
        """
        if self.status in ("skipped", "failed") and self.reason is None:
            raise ValueError(f"a run that is {self.status} needs a reason")
        checked = type(self).model_validate(_spelled_out(self.model_dump()))
        atomic.write_text(path, checked.model_dump_json(indent=2) + "\n")


def _spelled_out(value: Any) -> Any:
    if isinstance(value, str):
        return spelled_out(value)
    if isinstance(value, dict):
        return {key: _spelled_out(item) for key, item in value.items()}
    return [_spelled_out(item) for item in value] if isinstance(value, list) else value


def read(path: Path) -> Summary:
    """The summary in `path`.

    Raises:
        UserError: the file is missing, cannot be read, is damaged, or is of a newer version.
    """
    try:
        data = read_regular(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        return Summary.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors()[0]
        where, value = ".".join(map(str, problem["loc"])), problem["input"]
        if where == "schema_version" and isinstance(value, int) and value > SCHEMA_VERSION:
            text = f"{path}: written by a newer lstm-lm (schema version {value})\nupdate lstm-lm"
        else:
            cause = f"{where}: {problem['msg']}" if where else problem["msg"]
            text = f"{path}: not a whole summary: {cause[:200]!r}\nrun it again, or leave this run out"
        raise UserError(text) from None


def read_if_whole(path: Path) -> Summary | None:
    """The summary in `path`; None: there is none, or it is damaged."""
    try:
        return read(path)
    except UserError:
        return None


def git_commit() -> str | None:
    """The commit of the checkout that this very code runs from; None for an installed package, or without git."""
    source = Path(__file__).resolve().parents[2]
    # A wheel installed into a virtual environment inside some other project's checkout must not report that project's.
    if source.name != "src" or not (source.parent / ".git").exists():
        return None
    # Inside a git hook these point elsewhere.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        answer = subprocess.run(
            ["git", "-C", str(source.parent), "rev-parse", "--verify", "HEAD"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_GIT_SECONDS,
            env=environment,
            check=True,
            text=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return answer if re.fullmatch(r"[0-9a-f]{40,64}", answer) else None


def versions() -> dict[str, str | None]:
    """Versions of Python, of this project and of what its figures depend on; None where one is not installed."""
    import lstm_lm

    found: dict[str, str | None] = {"python": platform.python_version(), "lstm-lm": lstm_lm.__version__}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found
