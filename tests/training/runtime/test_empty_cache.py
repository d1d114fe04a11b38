"""A GPU's kept memory is given back every so many windows, through all epochs; on a CPU there is none."""

from unittest.mock import Mock

import pytest
import torch

from lstm_lm.training.runtime.empty_cache import EmptyCache, emptier


def test_every_n_windows_counted_through_all_epochs() -> None:
    emptied_after: list[int] = []
    window = 0
    callback = EmptyCache(3, lambda: emptied_after.append(window))
    for _ in range(2):
        for batch_idx in range(5):
            window += 1
            callback.on_train_batch_end(Mock(), Mock(), None, None, batch_idx)
    assert emptied_after == [3, 6, 9]


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_each_kind_of_gpu_has_its_own(kind: str) -> None:
    assert emptier(torch.device(kind)) is getattr(torch, kind).empty_cache


def test_a_cpu_has_none() -> None:
    assert emptier(torch.device("cpu")) is None
