"""A server of a small model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from answering import Answering, answering

from lstm_lm.models.build import build_model
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.char import CharTokenizer

LETTERS = CharTokenizer("\n abcdefg")
Make = Callable[..., Loaded]


@pytest.fixture(autouse=True)
def needs_packages() -> None:
    """Without them these tests say so."""
    for package in ("starlette", "uvicorn"):
        pytest.importorskip(package, reason='what serve needs is not installed: pip install -e ".[serve]"')


@pytest.fixture
def made(small_config: Callable[..., dict[str, Any]], tmp_path: Path) -> Make:
    """`made("model=gru")`: an untrained model with large weights, so that no two scores are close."""

    def make(*words: str, data: dict[str, Any] | None = None, tokenizer: Tokenizer = LETTERS) -> Loaded:
        config = small_config(*words)
        torch.manual_seed(1)
        model = build_model(config["model"], tokenizer.vocabulary_size).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.3 * torch.randn_like(parameter))
        loaded = Loaded(model, tokenizer)
        loaded.config = {"model": config["model"], "data": data or {"seq_len": 16}}
        loaded.checkpoint, loaded.run, loaded.autocast = tmp_path / "best.ckpt", None, None
        loaded.training_units, loaded.text, loaded.forward_reason = None, None, ""
        return loaded

    return make


@pytest.fixture
def served(made: Make) -> Iterator[Answering]:
    with answering(made()) as found:
        yield found
