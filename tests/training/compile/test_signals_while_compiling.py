"""A signal while torch.compile works stops at once where no step is lost by that, else after the step."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from compiled_runs import COMPILED, NEVER_DONE, Config, make_compiler, make_graphs_alone
from rich.console import Console
from torch._dynamo.callback import callback_handler

import lstm_lm
from lstm_lm.errors import Interrupted
from lstm_lm.runs import checkpoint_file
from lstm_lm.training.compile.compilation import Compilation
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.signals import STOPS_LATER

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups")

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


@pytest.mark.matrix
@pytest.mark.posix
@pytest.mark.parametrize(
    ("number", "to_group", "status"),
    [
        pytest.param(signal.SIGINT, True, 130, id="Ctrl-C of a terminal, which reaches the compiler, too"),
        pytest.param(signal.SIGTERM, False, 143, id="a signal to the run alone"),
    ],
)
def test_a_signal_ends_the_first_compilation_at_once(
    number: signal.Signals, to_group: bool, status: int, small_config: Config, tmp_path: Path
) -> None:
    """The compiler here would work for ten minutes; nothing of it is left."""
    # TorchInductor's first calls are in no thread; what is interrupted there ends, but not what it has started
    compiler = make_compiler(tmp_path / "g++", NEVER_DONE.replace("sleep", "exec sleep"))
    started = tmp_path / "started"
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
    compilers = psutil.Process(process.pid).children(recursive=True)
    if to_group:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == status, said
    assert said.splitlines()[-2:] == [
        "compiling: may take minutes on a slow machine",
        "interrupted before the first step; nothing was changed",
    ]
    assert not (tmp_path / "run").exists()
    assert compilers
    assert not psutil.wait_procs(compilers, timeout=5)[1]


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

    make_graphs_alone(monkeypatch)
    monkeypatch.setattr(LanguageModelTask, "on_train_batch_start", forget, raising=False)
    monkeypatch.setattr(Compilation, "_on_start", interrupted)
    screen = io.StringIO()
    with pytest.raises(Interrupted):
        lstm_lm.train(small_config(*COMPILED, "trainer.max_steps=9"), tmp_path / "run", console=Console(file=screen))
    said = screen.getvalue()
    assert (STOPS_LATER in " ".join(said.split())) == (where == "training")
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
