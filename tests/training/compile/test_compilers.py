"""What cannot be compiled here is refused before training; a run that fails leaves no compiler behind."""

import subprocess
import time
from pathlib import Path

import psutil
import pytest
import torch
from compiled_runs import COMPILED, NEVER_DONE, Config, make_compiler, refusal

import lstm_lm
from lstm_lm.errors import Unavailable, UserError
from lstm_lm.training.compile.compilers import check_possible, end_compilers
from lstm_lm.training.config import CompileOptions


def test_no_compiler_is_said_before_training(small_config: Config, tmp_path: Path) -> None:
    import torch._inductor.config as inductor

    with inductor.patch({"cpp.cxx": (None, "no-such-compiler")}):
        text = refusal(small_config(*COMPILED), tmp_path / "run", Unavailable)
    assert "'no-such-compiler'" in text
    assert "CXX" in text
    assert not (tmp_path / "run").exists()


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
    options = CompileOptions.parse(lstm_lm.compose(f"compile={mode}")["compile"], "compile")
    with torch._dynamo.config.patch(disable=disabled), pytest.raises(UserError, match=said):
        check_possible(options, torch.device("cpu"))


def test_nothing_is_refused_where_nothing_is_compiled() -> None:
    options = CompileOptions.parse(lstm_lm.compose("compile=none")["compile"], "compile")
    with torch._dynamo.config.patch(disable=True):
        check_possible(options, torch.device("cpu"), profiler="pytorch")


@pytest.mark.posix
def test_no_compiler_goes_on_and_none_starts_after_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch._inductor.config as inductor
    from torch._inductor.async_compile import AsyncCompile

    monkeypatch.setenv("STARTED", str(tmp_path / "started"))
    compiler = str(make_compiler(tmp_path / "g++", NEVER_DONE))
    others = psutil.Process().children()
    with inductor.patch({"cpp.cxx": (None, compiler), "compile_threads": 2}):
        waiting = [AsyncCompile.pool().submit(subprocess.run, [compiler, "main.cpp"], check=True) for _ in range(4)]
        while not (tmp_path / "started").exists():
            time.sleep(0.05)
        end_compilers()
        assert all(job.cancelled() or job.exception(timeout=60) is not None for job in waiting)
        assert set(psutil.Process().children()) <= set(others)
        end_compilers()  # there are none: nothing to do
        assert AsyncCompile.pool().submit(int).result() == 0, "a later run compiles"
