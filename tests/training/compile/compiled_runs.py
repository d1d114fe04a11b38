"""What tests of `compile=` share."""

import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.backends.debugging import aot_eager
from torch._dynamo.callback import callback_handler

import lstm_lm
from lstm_lm.errors import UserError

Config = Callable[..., dict[str, Any]]

COMPILED = ("compile=default", "callbacks.samples.length=0")

NEVER_DONE = """#!/bin/sh
test "$1" = --version && echo "g++ (GCC) 13.2.0" && exit 0
touch "$STARTED"
sleep 600
"""
"""A compiler; $STARTED is a file that says that it was called."""


def make_graphs_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What TorchDynamo does is all real; its graphs are not made into machine code, which takes seconds each."""
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", lambda graph, inputs, **_: aot_eager(graph, inputs))


def make_compiler(path: Path, script: str) -> Path:
    path.write_text(script)
    path.chmod(0o755)
    return path


def settings_of_the_process() -> list[object]:
    """What torch.compile's use could change for the next run."""
    config = torch._dynamo.config
    return [
        config.recompile_limit,
        config.fail_on_recompile_limit_hit,
        config.suppress_errors,
        torch.fx.experimental._config.use_duck_shape,
        signal.getsignal(signal.SIGALRM) if hasattr(signal, "SIGALRM") else None,
        list(callback_handler.start_callbacks),
        list(callback_handler.end_callbacks),
        list(logging.getLogger("torch._dynamo.convert_frame").filters),
        os.environ.get("KINETO_LOG_LEVEL"),
    ]


def refusal(config: dict[str, Any], run: Path, kind: type[UserError]) -> str:
    """What a run ends with: in few lines, with a way out."""
    with pytest.raises(kind) as caught:
        lstm_lm.train(config, run)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.count("\n") <= 3
    assert "compile=none" in text or "compile=default" in text, "says what else to do"
    return text
