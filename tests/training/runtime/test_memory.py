"""Too little memory: a refusal or a warning before training, and what fits where a GPU has run out of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psutil
import pytest
import torch

import lstm_lm
from lstm_lm import limits
from lstm_lm.errors import RunError, Unavailable
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.training.runtime.memory import EmptyCache, emptier

Config = Callable[..., dict[str, Any]]


@pytest.fixture
def room_for(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A machine on which a model runs out of memory beyond a number of streams (in training, or whenever)."""

    def make(streams: int, *, scoring_too: bool = True, error: RuntimeError | None = None) -> None:
        raised = error or torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        for name in ("forward", "forward_with_hidden"):
            whole = getattr(RecurrentLanguageModel, name)

            def small(self: Any, ids: torch.Tensor, state: Any, whole: Any = whole) -> Any:
                if ids.shape[1] > streams and (scoring_too or self.training):
                    raise raised
                return whole(self, ids, state)

            monkeypatch.setattr(RecurrentLanguageModel, name, small)

    return make


@pytest.mark.parametrize(
    ("streams", "accumulated", "told"),
    [
        (7, 3, "data.batch_size=4 trainer.accumulate_grad_batches=12"),
        (0, 1, "not even a batch of 1 fits"),
        pytest.param(4, 1, "data.batch_size=4 trainer.accumulate_grad_batches=4", marks=pytest.mark.matrix),
        pytest.param(8, 3, "data.batch_size=8 trainer.accumulate_grad_batches=6", marks=pytest.mark.matrix),
        pytest.param(1, 1, "data.batch_size=1 trainer.accumulate_grad_batches=16", marks=pytest.mark.matrix),
    ],
)
def test_the_batch_that_fits_is_found_by_halving(
    streams: int, accumulated: int, told: str, small_config: Config, tmp_path: Path, room_for: Any
) -> None:
    room_for(streams)
    config = small_config("data.batch_size=16", f"trainer.accumulate_grad_batches={accumulated}", "trainer.max_steps=2")
    with pytest.raises(RunError, match=r"out of memory with data\.batch_size=16") as caught:
        lstm_lm.train(config, tmp_path / "run")
    assert told in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 4
    assert caught.value.__suppress_context__


def test_a_library_that_gets_no_memory_is_told_in_the_same_way(
    small_config: Config, tmp_path: Path, room_for: Any
) -> None:
    """cuBLAS, cuDNN and Apple's GPUs raise no error of their own for it; their texts: tests/test_device_memory.py."""
    room_for(4, error=RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"))
    with pytest.raises(RunError, match=r"out of memory with data\.batch_size=16") as caught:
        lstm_lm.train(small_config("data.batch_size=16", "trainer.max_steps=2"), tmp_path / "run")
    assert "data.batch_size=4 trainer.accumulate_grad_batches=4" in str(caught.value)


def test_another_error_is_left_as_it_is(small_config: Config, tmp_path: Path, room_for: Any) -> None:
    room_for(4, error=RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(...)`"))
    with pytest.raises(RuntimeError, match="EXECUTION_FAILED"):
        lstm_lm.train(small_config("data.batch_size=16", "trainer.max_steps=2"), tmp_path / "run")


@pytest.mark.parametrize(("batch_size", "streams", "fits"), [(6, 4, 3), (50, 20, 10)])
def test_what_is_advised_divides_the_batch(
    batch_size: int, streams: int, fits: int, small_config: Config, tmp_path: Path, room_for: Any
) -> None:
    """Else the accumulated windows would not be the batch that was asked for."""
    room_for(streams)
    with pytest.raises(RunError) as caught:
        lstm_lm.train(small_config(f"data.batch_size={batch_size}", "trainer.max_steps=2"), tmp_path / "run")
    assert f"data.batch_size={fits} trainer.accumulate_grad_batches={batch_size // fits}" in str(caught.value)


def test_what_is_advised_trains_the_effective_batch(small_config: Config, tmp_path: Path, room_for: Any) -> None:
    room_for(4)
    config = small_config("data.batch_size=4", "trainer.accumulate_grad_batches=4", "trainer.max_steps=2")
    assert lstm_lm.train(config, tmp_path / "run").status == "completed"


def test_validation_that_needs_too_much_is_told_apart(small_config: Config, tmp_path: Path, room_for: Any) -> None:
    room_for(4)
    config = small_config("data.batch_size=4", "data.eval_batch_size=8", "trainer.max_steps=2")
    advice = r"out of memory while scoring with data\.eval_batch_size=8\ndata\.eval_batch_size=4 fits\n.*resume=force"
    with pytest.raises(RunError, match=advice):
        lstm_lm.train(config, tmp_path / "run")
    followed = config["data"] | {"eval_batch_size": 4}
    assert lstm_lm.train(config | {"data": followed, "resume": "force"}, tmp_path / "run").status == "completed"


def test_a_cpu_with_too_little_memory_is_told_before_training(
    small_config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the system ends the process, and nobody says why."""
    little = psutil.virtual_memory()._replace(available=1000)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    summary = lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    assert summary.runtime.warnings is not None
    assert any("training takes about" in line and "are free on cpu" in line for line in summary.runtime.warnings)


def test_where_there_is_enough_nothing_is_said(small_config: Config, tmp_path: Path) -> None:
    summary = lstm_lm.train(small_config("trainer.max_steps=1"), tmp_path / "run")
    assert not any("memory" in line for line in summary.runtime.warnings or [])


# Whether a model has room at all


def parameters(vocabulary: int, embedding: int, hidden: int) -> int:
    """Of one LSTM layer between an embedding and an output layer, counted by hand."""
    return vocabulary * embedding + 4 * hidden * (embedding + hidden + 2) + vocabulary * hidden + vocabulary


@pytest.mark.parametrize(("optimizer", "numbers"), [("adamw", 4), ("muon", 4), ("rmsprop", 3), ("sgd", 2)])
@pytest.mark.parametrize("limit", ["usable_memory", "address_space_left"])
def test_what_is_refused_is_what_exceeds_the_memory(
    limit: str,
    optimizer: str,
    numbers: int,
    small_config: Config,
    small_text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Weights, gradients and averages, four bytes each."""
    config = small_config("trainer.max_steps=1", f"optimizer={optimizer}")
    needed = 4 * numbers * parameters(len(set(small_text)), 8, 16)
    monkeypatch.setattr(limits, limit, lambda: needed - 1)
    with pytest.raises(Unavailable, match=r"model\.hidden_size"):
        lstm_lm.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(limits, limit, lambda: needed)
    assert lstm_lm.train(config, tmp_path / "run").status == "completed"


@pytest.mark.parametrize(
    "sizes",
    [
        ["model.hidden_size=65536", "model.num_layers=1024"],
        ["model=gru", "model.hidden_size=65536", "model.num_layers=1024"],
    ],
)
def test_an_absurd_model_is_refused_in_a_line(sizes: list[str], small_config: Config, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="smaller"):
        lstm_lm.train(small_config(*sizes), tmp_path / "run")


# A GPU's kept memory is given back every so many windows; on a CPU there is none


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
