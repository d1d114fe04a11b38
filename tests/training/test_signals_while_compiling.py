"""A signal while torch.compile works stops at once where no step is lost by that, else after the step."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch._dynamo.callback import callback_handler

import lstm_lm
from lstm_lm.errors import Interrupted
from lstm_lm.runs import checkpoint_file
from lstm_lm.training.compilation import Compilation
from lstm_lm.training.compiler_processes import CompilerProcesses
from lstm_lm.training.module import LanguageModelTask

Config = Callable[..., dict[str, Any]]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups")

COMPILED = ("compile=default", "callbacks.samples.length=0")
NEVER_DONE = """#!/bin/sh
test "$1" = --version && echo "g++ (GCC) 13.2.0" && exit 0
touch "$STARTED"
sleep 600
"""
TRAIN = """
import json, sys
import lstm_lm
from rich.console import Console
from lstm_lm.errors import Interrupted
try:
    lstm_lm.train(json.loads(sys.argv[1]), "run", console=Console(width=120))
except Interrupted as error:
    sys.exit(error.exit_status)
"""


@pytest.mark.posix
def test_ctrl_c_of_a_terminal_ends_the_first_compilation_at_once(small_config: Config, tmp_path: Path) -> None:
    """It goes to the compiler, too, which here would work for ten minutes."""
    compiler, started = tmp_path / "g++", tmp_path / "started"
    compiler.write_text(NEVER_DONE)
    compiler.chmod(0o755)
    environment = {
        "CXX": str(compiler),
        "STARTED": str(started),
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "inductor"),
    }
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, json.dumps(small_config(*COMPILED))],
        cwd=tmp_path,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not started.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said
    assert said.splitlines()[-2:] == [
        "compiling: may take minutes on a slow machine",
        "interrupted before the first step; nothing was changed",
    ]
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("where", ["training", "validation"])
def test_later_a_step_that_was_taken_is_kept(
    where: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that compiles again is waited for; a validation, before which last.ckpt was written, is broken off."""
    due: list[int] = []
    start = Compilation._on_start

    def forget(task: LanguageModelTask, batch: Any, batch_idx: int) -> None:
        if batch_idx == 4:
            due.append(batch_idx)
            if where == "training":
                starts, ends = callback_handler.start_callbacks[:], callback_handler.end_callbacks[:]
                torch._dynamo.reset()
                callback_handler.start_callbacks, callback_handler.end_callbacks = starts, ends

    def interrupted(self: Compilation, *arguments: Any) -> None:
        start(self, *arguments)
        if due:
            due.clear()
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(LanguageModelTask, "on_train_batch_start", forget, raising=False)
    monkeypatch.setattr(Compilation, "_on_start", interrupted)
    screen = io.StringIO()
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config(*COMPILED, "trainer.max_steps=9"), tmp_path / "run", console=Console(file=screen))
    said = screen.getvalue()
    assert ("stopping after this step, which is being compiled; Ctrl-C again: at once" in said) == (where == "training")
    steps = 5 if where == "training" else 9
    assert f"interrupted at step {steps}, saved in" in said
    assert checkpoint_file.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == steps


def test_what_the_compiler_makes_of_a_signal_is_no_failure(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken_off(*_: Any, **__: Any) -> None:
        try:
            signal.raise_signal(signal.SIGINT)
        except Interrupted as error:  # what comes out of threads and callbacks may be another error
            raise RuntimeError("C++ compile error") from error

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", broken_off)
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config(*COMPILED), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_compiler_has_a_session_of_its_own_and_none_starts_after_the_end() -> None:
    from torch._inductor import cpp_builder

    builder: Any = cpp_builder
    command = [sys.executable, "-c", "import os; print(os.getsid(0) == os.getpid())"]
    failing = [sys.executable, "-c", "print('why'); exit(3)"]
    with CompilerProcesses() as processes:
        done = builder.subprocess.run(command, check=True, stdout=subprocess.PIPE)
        assert done.stdout.split() == [b"True"]
        with pytest.raises(subprocess.CalledProcessError) as failed:
            builder.subprocess.run(failing, check=True, stdout=subprocess.PIPE)
        assert (failed.value.returncode, failed.value.stdout.split()) == (3, [b"why"])
    assert builder.subprocess is subprocess
    assert processes.run(command, stdout=subprocess.PIPE).returncode == 0
    with contextlib.suppress(KeyError), processes:
        raise KeyError
    with pytest.raises(subprocess.CalledProcessError):
        processes.run(command)
