"""Nothing that one run sets leaks into the next."""

import platform
import random

import numpy as np
import pytest
import torch

from lstm_lm.training.allocator import keep_freed_memory
from lstm_lm.training.runtime import runtime_settings


def everything() -> list[object]:
    return [
        torch.get_num_threads(),
        torch.get_float32_matmul_precision(),
        torch.get_default_dtype(),
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_grad_enabled(),
        torch.is_anomaly_enabled(),
        random.getstate(),
        torch.get_rng_state().tolist(),
        np.random.get_state()[1].tolist(),  # type: ignore[index]
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_all_settings_are_as_before_even_after_a_failure(fails: bool) -> None:
    before = everything()
    try:
        with runtime_settings(allocator=False, threads=1, float32_matmul_precision="medium"):
            assert torch.get_num_threads() == 1
            assert torch.get_float32_matmul_precision() == "medium"
            torch.set_default_dtype(torch.float64)
            torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
            torch.use_deterministic_algorithms(True)
            torch.autograd.set_detect_anomaly(True)
            torch.manual_seed(9)
            random.seed(9)
            np.random.seed(9)
            if fails:
                raise RuntimeError("the run failed")
    except RuntimeError:
        assert fails
    assert everything() == before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_the_allocator_takes_the_settings() -> None:
    assert keep_freed_memory()


def test_elsewhere_the_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert not keep_freed_memory()
