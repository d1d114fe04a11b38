"""Ctrl-C once waits for the step to end; twice does not."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lstm_lm.runs import checkpoint_file

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
