"""A run that is killed within this process, at the moment that is asked for, and goes on from what is on the disk."""

import json
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import psutil
import pytest
from torch import Tensor

import lstm_lm
from lstm_lm.errors import Interrupted, RunError
from lstm_lm.runs import checkpoint_file, metrics_file
from lstm_lm.runs.directory import RunDirectory
from lstm_lm.training.build import build
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.plan import Plan

OF_THE_MACHINE = ("seconds", "step_ms", "tokens_per_second")
"""Parts of the names of what tells of the machine, not of the training."""
HOOKS = {
    "start": "configure_optimizers",
    "step": "training_step",
    "update": "optimizer_step",
    "validation": "validation_step",
    "test": "test_step",
}
"""Moments at which a run can be killed, behind this part of it; besides, "write": before a checkpoint is complete."""


class Killed(BaseException):
    """As a SIGKILL, for what is on the disk: it is put back as it was at that moment."""


class Run:
    """One run of a draw's configuration, from its first process to its last."""

    def __init__(self, config: dict[str, Any], folder: Path) -> None:
        self.config = config
        self.directory = RunDirectory(folder)
        self.calls: Counter[str] = Counter()
        self.first_weights: dict[str, Tensor] = {}

    def go(self, moment: str = "never", at: int = 0) -> bool:
        """Train, from what is there on; at the `at`-th time that `moment` comes be killed. Whether that was."""
        resume = "never" if self.directory.is_empty() else "auto"
        if self.config["trainer"]["devices"] > 1:
            return self._go_in_processes(resume, kill=moment != "never")
        before = self.directory.path.with_name("before")
        with self._counting(moment, at, before):
            try:
                lstm_lm.train(self.config | {"resume": resume}, self.directory.path)
            except Interrupted:
                return True
            except Killed:
                shutil.rmtree(self.directory.path)
                before.rename(self.directory.path)
                return True
        return False

    def _go_in_processes(self, resume: str, *, kill: bool) -> bool:
        """The same with several processes, which are killed from outside as soon as training has begun."""
        alone = self.config | {"trainer": self.config["trainer"] | {"devices": 1}}
        with closing(build(Plan.new(TrainConfig.parse(alone)))) as parts:
            self.first_weights = deepcopy(parts.model.state_dict())
        before, ended = _changed(self.directory.summary), threading.Event()

        def watch() -> None:
            while _changed(self.directory.summary) == before and not ended.is_set():
                time.sleep(1e-3)
            for process in psutil.Process().children():
                with suppress(psutil.Error):
                    process.kill()

        watcher = threading.Thread(target=watch)
        if kill:
            watcher.start()
        try:
            lstm_lm.train(self.config | {"resume": resume}, self.directory.path)
        except RunError:
            if not kill:
                raise
            return True
        finally:
            ended.set()
            if kill:
                watcher.join()
        return False

    @contextmanager
    def _counting(self, moment: str, at: int, before: Path) -> Iterator[None]:
        """Have each hook count its calls, and at the right one bring about the end."""
        self.calls.clear()

        def come(what: str) -> None:
            self.calls[what] += 1
            if what == ("step" if moment == "signal" else moment) and self.calls[what] == at:
                if moment == "signal":
                    signal.raise_signal(signal.SIGTERM)
                    return
                shutil.copytree(self.directory.path, before)
                raise Killed

        def counted(what: str, method: Callable[..., Any]) -> Callable[..., Any]:
            def call(task: LanguageModelTask, *arguments: Any, **named: Any) -> Any:
                if not self.first_weights:
                    self.first_weights = deepcopy(task.model.state_dict())
                result = method(task, *arguments, **named)
                come(what)
                return result

            return call

        seal = checkpoint_file._seal

        def seal_or_not(file: Any) -> None:
            come("write")
            seal(file)

        with pytest.MonkeyPatch.context() as patch:
            for what, name in HOOKS.items():
                patch.setattr(LanguageModelTask, name, counted(what, getattr(LanguageModelTask, name)))
            patch.setattr(checkpoint_file, "_seal", seal_or_not)
            patch.setattr(os, "fsync", lambda _: None)  # it is no machine that dies
            yield

    @property
    def rows(self) -> dict[int, dict[str, float]]:
        rows = metrics_file.read(self.directory.metrics)
        kept = {int(row.pop("step")): {name: row[name] for name in row if not _of_the_machine(name)} for row in rows}
        return {step: row for step, row in kept.items() if row}

    @property
    def summary(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.directory.summary.read_text())
        train = {name: value for name, value in told["train"].items() if not _of_the_machine(name)}
        return {name: told[name] for name in ("status", "model", "data", "val", "test")} | {"train": train}

    def checkpoint(self, name: str) -> dict[str, Any] | None:
        path = self.directory.checkpoints / f"{name}.ckpt"
        return checkpoint_file.load(path) if path.exists() else None


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _of_the_machine(name: str) -> bool:
    return any(part in name for part in OF_THE_MACHINE)
