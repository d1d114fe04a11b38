"""Nothing that one run sets leaks into the next, however it ends."""

import gc
import json
import os
import platform
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch._dynamo
import torch._inductor.config
from process_settings import BACKENDS, PRECISIONS, changed, everything
from quick_compose import compose
from tiers import first

import lstm_lm
from lstm_lm import limits
from lstm_lm.errors import Interrupted, UserError
from lstm_lm.training.config import TrainConfig
from lstm_lm.training.module import LanguageModelTask
from lstm_lm.training.runtime import process_state
from lstm_lm.training.runtime.settings import RuntimeOptions, in_force, keep_freed_memory, runtime_settings

Config = Callable[..., dict[str, Any]]


def options(**changes: Any) -> RuntimeOptions:
    section = compose(*(f"runtime.{key}={'null' if value is None else value}" for key, value in changes.items()))
    return RuntimeOptions.parse(section["runtime"], "runtime")


@pytest.fixture
def unusual() -> Iterator[None]:
    """A caller who has settings of their own, none of them PyTorch's default or this project's."""
    undo = process_state.remember()
    torch.set_num_threads(2)
    torch.set_float32_matmul_precision("medium")
    BACKENDS.cudnn.allow_tf32 = False
    BACKENDS.cudnn.benchmark = True
    BACKENDS.cudnn.deterministic = True
    torch._dynamo.config.recompile_limit = 5
    os.environ["A_VARIABLE_OF_THE_CALLER"] = "kept"
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    yield
    undo()
    os.environ.pop("A_VARIABLE_OF_THE_CALLER", None)


EVERY_SETTING = (
    "runtime.threads=1",
    "runtime.float32_matmul_precision=highest",
    "runtime.cudnn_benchmark=false",
    "runtime.empty_cache_every_n_batches=2",
    "runtime.token_stream=device",
    "trainer.deterministic=true",
    "trainer.detect_anomaly=true",
    "trainer.max_steps=4",
    "model.dropout=0.1",
)


@pytest.mark.parametrize("ends", ["well", "in a failure", "in an interruption"])
@pytest.mark.parametrize("precision", first(["64-true", "bf16-mixed", "32-true"]))
@pytest.mark.usefixtures("unusual")
def test_a_run_leaves_the_process_as_it_was(
    ends: str, precision: str, small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[Any, ...]] = []
    step = LanguageModelTask.training_step

    def watched(task: LanguageModelTask, *arguments: Any) -> torch.Tensor:
        seen.append((torch.get_num_threads(), torch.get_float32_matmul_precision(), BACKENDS.cudnn.benchmark))
        seen[-1] += (torch.are_deterministic_algorithms_enabled(), BACKENDS.cudnn.rnn.fp32_precision == "tf32")
        if len(seen) == 3 and ends == "in a failure":
            raise RuntimeError("the run failed")
        if len(seen) == 3 and ends == "in an interruption":
            signal.raise_signal(signal.SIGINT)
        return step(task, *arguments)

    monkeypatch.setattr(LanguageModelTask, "training_step", watched)
    config = small_config(*EVERY_SETTING, f"precision={precision}")
    before = everything()
    try:
        lstm_lm.train(config, tmp_path / "run")
    except (RuntimeError, Interrupted) as error:
        assert ends == ("in a failure" if isinstance(error, RuntimeError) else "in an interruption")  # noqa: PT017
    assert seen[:3] == [(1, "highest", False, True, False)] * 3, "and the settings were in force"
    assert changed(before) == []


def test_a_refused_run_leaves_the_process_as_it_was(small_config: Config, tmp_path: Path) -> None:
    config = small_config(*EVERY_SETTING, "data.batch_size=4000")
    before = everything()
    with pytest.raises(UserError, match="too short"):
        lstm_lm.train(config, tmp_path / "run")
    assert changed(before) == []


def test_jobs_of_a_sweep_do_not_inherit_settings(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two kinds of jobs take turns in one process: each has its own settings, and each kind learns the same again."""
    step = LanguageModelTask.training_step

    def on_one_thread(task: LanguageModelTask, *arguments: Any) -> torch.Tensor:
        torch.set_num_threads(1)  # two would wait for each other at every time step, on a busy machine for long
        return step(task, *arguments)

    monkeypatch.setattr(LanguageModelTask, "training_step", on_one_thread)
    one = ("runtime.threads=1", "runtime.float32_matmul_precision=highest", "trainer.deterministic=true")
    other = ("runtime.threads=2", "runtime.float32_matmul_precision=medium", "runtime.cudnn_benchmark=true")
    before = everything()
    found: list[dict[str, Any]] = []
    for number, kind in enumerate([one, other, one, other]):
        config = small_config(*kind, "trainer.max_steps=3", "model.dropout=0.1")
        summary = lstm_lm.train(config, tmp_path / str(number))
        assert changed(before) == []
        assert summary.runtime.settings is not None
        found.append({**summary.runtime.settings, "loss": summary.train.loss})
    keys = ("threads", "float32_matmul_precision", "cudnn_benchmark", "cudnn_tf32")
    assert [found[0][key] for key in keys] == [1, "highest", False, False]
    assert [found[1][key] for key in keys] == [2, "medium", True, True]
    assert found[0] == found[2]
    assert found[1] == found[3]


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_run_itself_sets_is_undone_too(fails: bool) -> None:
    before = everything()
    try:
        with runtime_settings(options(allocator="false")):
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            BACKENDS.cudnn.enabled = False
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.autograd.set_detect_anomaly(True, check_nan=False)
            torch._dynamo.config.recompile_limit += 1
            torch._inductor.config.max_autotune = True
            os.environ["PATH"] = "elsewhere"
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
            torch.manual_seed(9)
            random.seed(9)
            np.random.seed(9)
            if fails:
                raise RuntimeError("the run failed")
    except RuntimeError:
        assert fails
    assert changed(before) == []


def test_a_caller_with_pytorchs_newer_settings_gets_them_back() -> None:
    """Its older functions then refuse to read what is set; the run needs them and must not fail."""
    undo = process_state.remember()
    try:
        BACKENDS.cuda.matmul.fp32_precision = "tf32"
        BACKENDS.cudnn.rnn.fp32_precision = "ieee"
        before = {name: place.fp32_precision for name, place in PRECISIONS.items()}
        with pytest.raises(RuntimeError):
            torch.get_float32_matmul_precision()
        with runtime_settings(options(float32_matmul_precision="high")):
            assert torch.get_float32_matmul_precision() == "high"
            assert BACKENDS.cudnn.rnn.fp32_precision == "tf32"
        assert {name: place.fp32_precision for name, place in PRECISIONS.items()} == before
    finally:
        undo()


@pytest.mark.parametrize(("precision", "tf32"), [("highest", False), ("high", True), ("medium", True)])
def test_the_vendors_lstm_follows_the_precision_of_products(precision: str, tf32: bool) -> None:
    with runtime_settings(options(float32_matmul_precision=precision)):
        assert torch.get_float32_matmul_precision() == precision
        assert (BACKENDS.cuda.matmul.fp32_precision == "tf32") is tf32
        assert (BACKENDS.cudnn.rnn.fp32_precision == "tf32") is tf32
        assert (BACKENDS.cudnn.conv.fp32_precision == "tf32") is tf32


# Threads


@pytest.mark.parametrize(
    ("asked", "pytorch", "cores", "threads"),
    [(None, 4, 8, 4), (None, 8, 4, 4), (3, 8, 2, 3), (None, 1, 8, 1)],
)
def test_threads_are_pytorchs_but_no_more_than_there_are_cores(
    asked: Any, pytorch: int, cores: int, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "usable_cores", lambda: cores)
    set_to: list[int] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: pytorch)
    monkeypatch.setattr(torch, "set_num_threads", set_to.append)
    with runtime_settings(options(threads=asked)):
        assert set_to == [threads]


# What is recorded


def test_the_summary_says_what_was_in_force(small_config: Config, tmp_path: Path) -> None:
    config = small_config("trainer.max_steps=1")
    lstm_lm.train(config, tmp_path / "run")
    settings = json.loads((tmp_path / "run" / "summary.json").read_text())["runtime"]["settings"]
    assert settings.keys() >= config["runtime"].keys(), "one for each key"
    assert settings["threads"] == torch.get_num_threads()
    assert settings["token_stream"] == "host"
    assert settings["empty_cache_every_n_batches"] == 0


def test_tensorboard_lists_the_settings(small_config: Config, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

    lstm_lm.train(small_config("trainer.max_steps=1", "runtime.threads=1"), tmp_path / "run")
    (events,) = (tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*")
    content = b"".join(RawEventFileLoader(str(events)).Load())
    assert b"runtime.threads" in content
    assert b"runtime.token_stream" in content


# Wrong values


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("runtime.threads=0", r"runtime\.threads=0: must be greater than or equal to 1"),
        ("runtime.threads=auto", r"runtime\.threads='auto'"),
        ("runtime.cudnn_benchmark=2", r"runtime\.cudnn_benchmark=2"),
        ("runtime.float32_matmul_precision=low", r"'highest', 'high' or 'medium'"),
        ("runtime.empty_cache_every_n_batches=-1", r"runtime\.empty_cache_every_n_batches=-1"),
        ("runtime.token_stream=gpu", r"'auto', 'device' or 'host'"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key(override: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        TrainConfig.parse(lstm_lm.compose(override))


@pytest.mark.parametrize(
    ("overrides", "benchmark"),
    [
        ((), None),
        (("runtime.cudnn_benchmark=true",), True),
        (("trainer.benchmark=true",), True),
        (("runtime.cudnn_benchmark=true", "trainer.benchmark=null"), True),
        (("runtime.cudnn_benchmark=false", "trainer.benchmark=false", "trainer.deterministic=true"), False),
    ],
)
def test_the_two_keys_of_cudnns_switch_are_one(overrides: tuple[str, ...], benchmark: bool | None) -> None:
    config = TrainConfig.parse(compose(*overrides))
    assert config.runtime.cudnn_benchmark is benchmark
    assert config.trainer["benchmark"] is benchmark


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("runtime.cudnn_benchmark=true", "trainer.benchmark=false"), "they are one switch"),
        (("runtime.cudnn_benchmark=true", "trainer.deterministic=true"), "exclude each other"),
        (("trainer.benchmark=true", "trainer.deterministic=warn"), "exclude each other"),
    ],
)
def test_contradictions_about_cudnns_switch_are_refused(overrides: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        TrainConfig.parse(lstm_lm.compose(*overrides))


# The allocator


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_the_allocator_takes_the_settings_and_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_lm.training.runtime.settings._keeps_freed_memory", False)
    assert not in_force(options())["allocator"]
    with runtime_settings(options(allocator="true")):
        pass
    with runtime_settings(options(allocator="false")):
        assert in_force(options(allocator="false"))["allocator"], "a process cannot take it back"


def test_elsewhere_the_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert not keep_freed_memory()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_run_leaves_nothing_on_the_gpu(small_config: Config, tmp_path: Path) -> None:
    gc.collect()
    torch.zeros(1, device="cuda")
    before = torch.cuda.memory_allocated(), torch.cuda.current_device(), torch.cuda.get_rng_state().tolist()
    for token_stream in ("device", "host"):
        lstm_lm.train(
            small_config("device=gpu", "trainer.max_steps=2", f"runtime.token_stream={token_stream}"),
            tmp_path / token_stream,
        )
        assert before[0] >= torch.cuda.memory_allocated()
        assert before[1:] == (torch.cuda.current_device(), torch.cuda.get_rng_state().tolist())
