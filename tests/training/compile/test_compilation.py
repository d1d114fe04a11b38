"""torch.compile is bounded, in time and in number, and what fails in it is said in few lines."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from compiled_runs import COMPILED, Config, make_compiler, make_graphs_alone, refusal, settings_of_the_process
from torch import Tensor, nn

from lstm_lm.errors import RunError
from lstm_lm.models.masked_layers import MaskedLinear
from lstm_lm.training.compile.compilation import Compilation


def test_a_part_that_is_not_one_graph_is_named(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: MaskedLinear, y: Tensor, mask: Tensor | None = None) -> Tensor:
        torch._dynamo.graph_break()
        return nn.functional.linear(y, self.weight, self.bias)

    make_graphs_alone(monkeypatch)
    monkeypatch.setattr(MaskedLinear, "forward", broken)
    text = refusal(small_config(*COMPILED), tmp_path / "run", RunError)
    assert "self.head(y, output_mask)" in text
    assert "recurrent_language_model.py" in text


def test_too_many_compilations_are_an_error_not_a_return_to_eager(
    small_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A validation, without gradients, needs its own graph of each part."""
    make_graphs_alone(monkeypatch)
    before = settings_of_the_process()
    config = small_config(*COMPILED, "compile.recompile_limit=1", "trainer.limit_train_batches=2")
    text = refusal(config, tmp_path / "run", RunError)
    assert "compile.recompile_limit=1" in text
    assert "grad_mode" in text, "the reason that TorchDynamo gives"
    assert "hit config" not in caplog.text, "which it need not give twice"
    assert settings_of_the_process() == before


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm clock on this system")
def test_compiling_is_ended_when_its_time_is_up(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it compiles, not after: here it would never have ended."""
    before = settings_of_the_process()
    left: list[float] = []

    def compiled_for_ever(*_: Any, **__: Any) -> None:
        left.append(signal.getitimer(signal.ITIMER_REAL)[0])
        signal.setitimer(signal.ITIMER_REAL, 0.1)  # nobody wants to wait for it
        while True:
            pass

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", compiled_for_ever)
    text = refusal(small_config(*COMPILED, "compile.max_seconds=500"), tmp_path / "run", RunError)
    assert "compile.max_seconds=500" in text
    assert len(left) == 1
    assert 0 < left[0] < 500
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert settings_of_the_process() == before


def test_without_an_alarm_the_time_is_checked_between_steps(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_graphs_alone(monkeypatch)
    monkeypatch.setattr(Compilation, "_can_alarm", lambda _: False)
    text = refusal(small_config(*COMPILED, "compile.max_seconds=1e-3"), tmp_path / "run", RunError)
    assert "compile.max_seconds=0.001" in text
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["runtime"]["compile_graphs"] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_a_compiler_that_fails_is_quoted(small_config: Config, tmp_path: Path) -> None:
    import torch._inductor.config as inductor
    from torch._inductor.cpu_vec_isa import valid_vec_isa_list

    valid_vec_isa_list()  # asks the compiler once a process: not the one that fails
    compiler = make_compiler(
        tmp_path / "c++",
        '#!/bin/sh\ntest "$1" = --version && echo "g++ (GCC) 13.2.0" && exit 0\n'
        'echo "main.cpp:1: fatal error: no Python.h" >&2\nexit 1\n',
    )
    with inductor.patch({"cpp.cxx": (None, str(compiler)), "fx_graph_cache": False}):
        text = refusal(small_config(*COMPILED), tmp_path / "run", RunError)
    assert "fatal error: no Python.h" in text
