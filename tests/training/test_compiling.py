"""`compile=`: what it compiles is counted, timed and bounded; what it cannot do it says."""

import io
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn
from torch._dynamo.callback import callback_handler

import lstm_lm
from lstm_lm.errors import RunError, Unavailable, UserError
from lstm_lm.models.masked_layers import MaskedLinear
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.training import compilation, compiling
from lstm_lm.training.compiled_share import CompiledShare
from lstm_lm.training.module import LanguageModelTask

Config = Callable[..., dict[str, Any]]

COMPILED = ("compile=default", "callbacks.samples.length=0")


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
    with pytest.raises(kind) as caught:
        lstm_lm.train(config, run)
    assert type(caught.value) is kind
    text = str(caught.value)
    assert text.count("\n") <= 3
    assert "compile=none" in text or "compile=default" in text, "says what else to do"
    return text


def test_jobs_of_one_process_that_compile_and_do_not_stay_apart(small_config: Config, tmp_path: Path) -> None:
    """Three epochs of 43 windows, each epoch's last one shorter: all graphs are compiled in the first."""
    before = settings_of_the_process()
    epochs = ("trainer.max_epochs=3", "scheduler=constant")
    screen = io.StringIO()
    eager = lstm_lm.train(small_config(*epochs, "compile=none"), tmp_path / "eager")
    compiled = lstm_lm.train(
        small_config(*epochs, *COMPILED), tmp_path / "compiled", console=Console(file=screen, width=120)
    )
    assert compiling.counts().graphs == 6, "three with gradients and, for the validation, three without; T = H as it is"
    again = lstm_lm.train(small_config(*epochs, "compile=none"), tmp_path / "again")
    assert settings_of_the_process() == before

    assert compiled.train.steps == 129
    assert compiled.train.loss == pytest.approx(eager.train.loss, abs=1e-4)
    assert compiled.runtime.compile_graphs == 3, "embedding, head and loss"
    assert compiled.runtime.graph_breaks == 0
    assert compiled.runtime.recompiles == 0
    assert compiled.runtime.compile_seconds is not None
    assert compiled.runtime.compile_seconds > 0
    assert compiled.runtime.compiled_share is not None
    assert 0 < compiled.runtime.compiled_share < 1, "the stack of layers is not compiled"
    assert "compile: 3 graphs, 0 breaks, " in screen.getvalue()
    assert "compiled again" not in screen.getvalue()
    header = (tmp_path / "compiled" / "metrics.csv").read_text().splitlines()[0]
    assert "runtime/compiled_share" in header

    assert again.train.loss == eager.train.loss
    for summary in (eager, again):
        runtime = summary.runtime
        assert (runtime.compile_graphs, runtime.graph_breaks, runtime.recompiles) == (0, 0, 0)
        assert (runtime.compile_seconds, runtime.compiled_share) == (0, 0)


def test_what_compiles_again_after_the_first_epoch_is_told(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget(task: LanguageModelTask) -> None:
        if task.current_epoch == 1:
            torch._dynamo.reset()

    monkeypatch.setattr(LanguageModelTask, "on_train_epoch_start", forget)
    screen = io.StringIO()
    config = small_config(*COMPILED, "trainer.max_epochs=2", "trainer.limit_val_batches=0")
    summary = lstm_lm.train(config, tmp_path / "run", console=Console(file=screen, width=120))
    assert summary.runtime.compile_graphs == 3
    assert summary.runtime.recompiles == 3
    assert "epoch 2 compiled again, in training" in screen.getvalue()
    assert "3 compiled again" in screen.getvalue()


def test_a_model_with_nothing_to_compile_is_refused_before_training(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RecurrentLanguageModel, "compilable", ())
    text = refusal(small_config(*COMPILED), tmp_path / "run", UserError)
    assert "no part that torch.compile can take" in text
    assert not (tmp_path / "run").exists()


def test_a_first_step_that_compiles_nothing_ends_the_run(small_config: Config, tmp_path: Path) -> None:
    with torch.compiler.set_stance("force_eager"):
        text = refusal(small_config(*COMPILED), tmp_path / "run", RunError)
    assert "no graph was compiled" in text
    written = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert written["status"] == "failed"
    assert written["runtime"]["compile_graphs"] == 0


def test_a_part_that_is_not_one_graph_is_named(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: MaskedLinear, y: Tensor, mask: Tensor | None = None) -> Tensor:
        torch._dynamo.graph_break()
        return nn.functional.linear(y, self.weight, self.bias)

    monkeypatch.setattr(MaskedLinear, "forward", broken)
    text = refusal(small_config(*COMPILED), tmp_path / "run", RunError)
    assert "`self.head(y, output_mask)`" in text
    assert "recurrent_language_model.py" in text


def test_too_many_compilations_are_an_error_not_a_return_to_eager(
    small_config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A validation, without gradients, needs its own graph of each part."""
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
    reached: list[str] = []

    def compiled_for_ever(*_: Any, **__: Any) -> None:
        reached.append("compiler")
        while True:
            pass

    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", compiled_for_ever)
    text = refusal(small_config(*COMPILED, "compile.max_seconds=0.5"), tmp_path / "run", RunError)
    assert reached
    assert "compile.max_seconds=0.5" in text
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert settings_of_the_process() == before


def test_without_an_alarm_the_time_is_checked_between_steps(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilation.Compilation, "_can_alarm", lambda _: False)
    text = refusal(small_config(*COMPILED, "compile.max_seconds=1e-3"), tmp_path / "run", RunError)
    assert "compile.max_seconds=0.001" in text
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["runtime"]["compile_graphs"] == 3


def test_no_compiler_is_said_before_training(small_config: Config, tmp_path: Path) -> None:
    import torch._inductor.config as inductor

    with inductor.patch({"cpp.cxx": (None, "no-such-compiler")}):
        text = refusal(small_config(*COMPILED), tmp_path / "run", Unavailable)
    assert "'no-such-compiler'" in text
    assert "CXX" in text
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a shell script")
def test_a_compiler_that_fails_is_quoted(small_config: Config, tmp_path: Path) -> None:
    import torch._inductor.config as inductor

    compiler = tmp_path / "c++"
    compiler.write_text(
        '#!/bin/sh\ntest "$1" = --version && echo "g++ (GCC) 13.2.0" && exit 0\n'
        'echo "main.cpp:1: fatal error: no Python.h" >&2\nexit 1\n'
    )
    compiler.chmod(0o755)
    with inductor.patch({"cpp.cxx": (None, str(compiler)), "fx_graph_cache": False}):
        text = refusal(small_config(*COMPILED), tmp_path / "run", RunError)
    assert "fatal error: no Python.h" in text


def test_lightnings_profiler_that_hooks_every_module_is_refused(small_config: Config, tmp_path: Path) -> None:
    text = refusal(small_config(*COMPILED, "trainer.profiler=pytorch"), tmp_path / "run", UserError)
    assert "trainer.profiler=pytorch" in text


@pytest.mark.parametrize(
    ("mode", "disabled", "said"),
    [
        ("reduce-overhead", False, "CUDA graphs need an NVIDIA GPU"),
        ("default", True, "TORCH_COMPILE_DISABLE=1"),
    ],
)
def test_what_would_silently_run_eagerly_is_refused(mode: str, disabled: bool, said: str) -> None:
    with torch._dynamo.config.patch(disable=disabled), pytest.raises(UserError, match=said):
        compiling.check_possible(mode, torch.device("cpu"))


def test_the_share_counts_both_passes_and_nothing_twice() -> None:
    inner = torch.compile(torch.tanh, backend="aot_eager")
    outer = torch.compile(lambda x: inner(x).sin().sum(), backend="aot_eager", fullgraph=True)
    x = torch.randn(64, 64, requires_grad=True)
    outer(x).backward()  # compiles
    whole, half, none = CompiledShare(), CompiledShare(), CompiledShare()
    with whole.watch(x.device):
        outer(x).backward()
    with half.watch(x.device):
        outer(x).backward()
        for _ in range(200):
            torch.tanh(x)
    with none.watch(x.device):
        torch.tanh(x)
    assert len(whole.graphs) == 1
    assert whole.share is not None
    assert half.share is not None
    assert 0 < half.share < whole.share <= 1
    assert none.share == 0
    assert CompiledShare().share is None


def test_nothing_is_measured_where_another_profiler_works() -> None:
    share = CompiledShare()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]), share.watch(torch.device("cpu")):
        torch.ones(1)
    assert share.share is None
