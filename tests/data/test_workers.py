"""The rule for a loader's processes: memory decides, cores bound it, and a number that is asked for is taken."""

from typing import Literal

import pytest

from lstm_lm.data.module import TextDataModule
from lstm_lm.data.workers import GB, loader_prefetch, loader_workers


@pytest.mark.parametrize(
    ("ram_bytes", "cores", "workers"),
    [
        (8 * GB - 1, 64, 0),
        (8 * GB, 64, 2),
        (16 * GB - 1, 64, 2),
        (16 * GB, 64, 4),
        (512 * GB, 5, 4),
        (512 * GB, 4, 3),
        (512 * GB, 2, 1),
        (512 * GB, 1, 0),
    ],
)
def test_auto_goes_by_memory_and_leaves_a_core(ram_bytes: int, cores: int, workers: int) -> None:
    assert loader_workers(ram_bytes, cores, "auto") == workers


@pytest.mark.parametrize("asked", [0, 1, 9])
def test_a_number_is_taken_as_it_is(asked: int) -> None:
    assert loader_workers(1, 1, asked) == asked


@pytest.mark.parametrize(
    ("ram_bytes", "workers", "asked", "prefetch"),
    [
        (512 * GB, 0, "auto", None),
        (512 * GB, 0, 3, None),
        (1 * GB, 1, "auto", 2),
        (8 * GB, 2, "auto", 2),
        (16 * GB, 4, "auto", 4),
        (16 * GB, 4, 7, 7),
    ],
)
def test_prefetch_goes_by_memory_and_needs_workers(
    ram_bytes: int, workers: int, asked: int | Literal["auto"], prefetch: int | None
) -> None:
    assert loader_prefetch(ram_bytes, workers, asked) == prefetch


def test_windows_of_text_need_no_workers() -> None:
    assert not TextDataModule.has_workers
