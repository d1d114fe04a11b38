"""Commands as tests run them: in a process of their own, or with a stand-in for the training."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lstm_lm.runs.directory import RunDirectory
from lstm_lm.runs.summary import Summary

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


def apart(script: str, *argv: str, cwd: Path, text: str | None = None, **environment: str) -> Said:
    """A script of the checkout, in a process of its own."""
    done = subprocess.run(
        [sys.executable, str(ROOT / script), *argv],
        cwd=cwd,
        input=text,
        stdin=subprocess.DEVNULL if text is None else None,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | environment,
    )
    return Said(done.returncode, done.stdout, done.stderr)


class StandIn:
    """Takes what `train` is given; leaves a summary, or raises `error`."""

    def __init__(self) -> None:
        self.calls: list[tuple[dict[str, Any], Path, str]] = []
        self.goes_on: list[bool] = []
        self.error: Callable[[dict[str, Any]], BaseException | None] = lambda config: None

    def __call__(
        self,
        config: dict[str, Any],
        run_dir: Path,
        *,
        console: object,
        command: str,
        started_at: float | None,
        goes_on: bool,
    ) -> Summary:
        self.calls.append((config, run_dir, command))
        self.goes_on.append(goes_on)
        done = Summary.begin(command, config["seed"])
        if (error := self.error(config)) is not None:
            raise error
        done.status = "completed"
        done.write(RunDirectory(run_dir).summary)
        return done
