"""Ctrl-C once waits for the step to end; twice does not."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lstm_lm.runs import checkpoint_file

ENDS_WITH_ITS_STATUS = """
import sys
from lstm_lm.errors import Interrupted
sys.excepthook = lambda kind, error, trace: __import__("os")._exit(getattr(error, "exit_status", 1))
"""

SCRIPT = """
import json, sys, time
from pathlib import Path
import lstm_lm
from lstm_lm.training.module import LanguageModelTask

order = json.loads(sys.argv[1])
trained = LanguageModelTask.training_step

def endless(self, *arguments):
    if self.global_step == 3:
        Path(order["there"]).touch()
        time.sleep(600)
    return trained(self, *arguments)

LanguageModelTask.training_step = endless
lstm_lm.train(order["config"], order["run_dir"])
"""


@pytest.mark.posix
@pytest.mark.parametrize(
    ("prefix", "status"),
    [
        pytest.param((), 129, id="alone"),
        pytest.param(("nohup",), None, id="with nohup", marks=pytest.mark.matrix),
    ],
)
def test_a_terminal_that_is_closed_ends_a_run_with_a_checkpoint(
    prefix: tuple[str, ...], status: int | None, small_config: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    config = small_config("trainer.max_steps=100000", "trainer.max_epochs=-1", "callbacks.checkpoint.every_n_steps=5")
    train = "import json, sys, lstm_lm; lstm_lm.train(json.loads(sys.argv[1]), sys.argv[2])"
    run = tmp_path / "run"
    process = subprocess.Popen(
        [*prefix, sys.executable, "-c", f"{ENDS_WITH_ITS_STATUS}\n{train}", json.dumps(config), str(run)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not (run / "checkpoints" / "last.ckpt").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGHUP)
        if status is None:
            time.sleep(1)
            assert process.poll() is None, "it goes on"
        else:
            assert process.wait(timeout=20) == status
            assert json.loads((run / "summary.json").read_text())["status"] == "interrupted"
    finally:
        process.kill()
        process.wait()


@pytest.mark.posix
def test_a_second_ctrl_c_ends_a_run_at_once(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    config = small_config("callbacks.checkpoint.every_n_steps=2")
    there = tmp_path / "there"
    order = {"config": config, "run_dir": str(tmp_path / "run"), "there": str(there)}
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, json.dumps(order)], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while not there.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert process.poll() is None, "the first waits for the step that is under way"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == -signal.SIGINT, "which a shell calls 130"
    finally:
        process.kill()
        process.wait()
    assert checkpoint_file.load(tmp_path / "run" / "checkpoints" / "last.ckpt")["global_step"] == 2
