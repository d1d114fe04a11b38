"""Commands as tests run them: in a process of their own, or with a stand-in for the training."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import forked
import psutil

from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.lock import hold_run
from lstm_lm.runs.summary import SplitSummary, Summary
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.plan import Plan

ROOT = Path(__file__).resolve().parents[2]

TINY = [
    "device=cpu",
    "precision=32-true",
    "data=text",
    "data.batch_size=2",
    "data.seq_len=8",
    "data.eval_batch_size=2",
    "model.hidden_size=8",
    "model.embedding_size=4",
    "trainer.max_steps=3",
    "callbacks.samples.length=5",
]
"""A run of a second; needs data.path and data.cache_dir."""


class Said(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str

    def refused(self, status: int = 2) -> str:
        """Its message, after checking what every refusal must be: a status, at most four lines, no traceback."""
        assert self.status == status, self
        assert 1 <= len(self.err.splitlines()) <= 4, self.err
        assert "Traceback" not in self.err
        return self.err


Here = Callable[..., Said]


def logged(folder: Path, words: str) -> int:
    """How often jobs of the sweeps below `folder` have said `words`."""
    return sum(log.read_text().count(words) for log in folder.rglob("*.train.log"))


class Apart(Protocol):
    """Runs a script of the checkout in a process of its own: `apart("train.py", "seed=2", cwd=folder)`."""

    def __call__(self, script: str, *argv: str, cwd: Path, text: str | None = None, **environment: str) -> Said:
        """Wait for it; `text` is its standard input."""


def in_a_new_process(script: str, *argv: str, cwd: Path, text: str | None = None, **environment: str) -> Said:
    """As an `Apart`: a new interpreter, which imports for seconds."""
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *argv],
        cwd=cwd,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=900,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def in_a_copy(script: str, *argv: str, cwd: Path, text: str | None = None, **environment: str) -> Said:
    """As an `Apart`: a copy of this process, where processes can be copied."""
    if not forked.THERE:
        return in_a_new_process(script, *argv, cwd=cwd, text=text, **environment)

    def typed() -> None:
        os.chdir(cwd)
        os.environ.update(environment)
        os.dup2(os.open(typed_in, os.O_RDONLY), 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
        forked.command(*argv, script=script)()

    with tempfile.TemporaryDirectory() as name:
        typed_in, out, err = (Path(name) / stream for stream in ("in", "out", "err"))
        typed_in.write_text(text or "", encoding="utf-8")
        status = forked.start(typed, out, errors=err).wait()
        return Said(status, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


class Underway:
    """A sweep that runs in a process of its own; what is left of it and its jobs ends with the block."""

    def __init__(self, argv: list[str], cwd: Path) -> None:
        self._folder = cwd
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "train.py"), *argv],
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "COLUMNS": "200"},
        )

    def __enter__(self) -> "Underway":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            for process in self.descendants():
                process.kill()
            self.process.kill()
            self.process.communicate()

    def wait_for_a_checkpoint(self, job: str = "1_*") -> RunDirectory:
        """Of a job, whose directory is given."""
        deadline = time.monotonic() + 600
        while not (found := list(self._folder.glob(f"swept/{job}/checkpoints/last.ckpt"))):
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return RunDirectory(found[0].parents[1])

    def job_of(self, run: RunDirectory) -> psutil.Process:
        """The process that trains there."""
        directory = f"hydra.run.dir={run.path.relative_to(self._folder)}"
        [found] = [process for process in self.descendants() if directory in process.cmdline()]
        return found

    def end(self) -> Said:
        """Wait for it."""
        out, err = self.process.communicate(timeout=900)
        return Said(self.process.returncode, out, err)

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


class StandIn:
    """Takes what `train` is given, refuses what `train` does; leaves a summary with `val`, or raises `error`."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, Any], Path, str]] = []
        self.resumable: list[bool] = []
        self.error: Callable[[dict[str, Any]], BaseException | None] = lambda config: None
        self.val: Callable[[dict[str, Any]], SplitSummary | None] = lambda config: None

    def __call__(
        self,
        config: dict[str, Any],
        run_dir: Path,
        *,
        console: object,
        command: str,
        started_at: float | None,
        resumable: bool,
        record: dict[str, str],
        free_cores: float,
    ) -> Summary:
        with hold_run(run_dir) as run:
            Plan.read(TrainConfig.parse(config), run)
            return self._end(config, run, command, resumable, record)

    def _end(
        self, config: dict[str, Any], run: RunDirectory, command: str, resumable: bool, record: dict[str, str]
    ) -> Summary:
        self.calls.append((config, run.path, command))
        self.resumable.append(resumable)
        done = Summary.begin(command, config["seed"])
        if (error := self.error(config)) is not None:
            raise error
        done.status = "completed"
        done.val = self.val(config)
        done.write(run.summary)
        run.config.parent.mkdir(exist_ok=True)
        for name, text in record.items():
            (run.config.parent / name).write_text(text)
        return done
