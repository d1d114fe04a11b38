"""A model that has no room here is refused by its shapes, before memory is asked for."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lstm_lm
from lstm_lm import limits
from lstm_lm.errors import Unavailable

Config = Callable[..., dict[str, Any]]


def parameters(vocabulary: int, embedding: int, hidden: int) -> int:
    """Of one LSTM layer between an embedding and an output layer, counted by hand."""
    return vocabulary * embedding + 4 * hidden * (embedding + hidden + 2) + vocabulary * hidden + vocabulary


@pytest.mark.parametrize(("optimizer", "numbers"), [("adamw", 4), ("rmsprop", 3), ("sgd", 2)])
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
