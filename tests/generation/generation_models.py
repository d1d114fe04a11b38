"""Small models and tokenizers for the tests of text generation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from omegaconf import OmegaConf
from torch import Tensor

from lstm_lm.forward.choose import SelectedStrategy
from lstm_lm.forward.interface import Workload
from lstm_lm.models.build import build_model
from lstm_lm.models.interface import LanguageModel
from lstm_lm.options import Options
from lstm_lm.tokenizers.char import CharTokenizer

MODEL_YAML = Path(__file__).parents[2] / "conf" / "model" / "lstm.yaml"
ALPHABET = "\n abcdefgh"


def lstm_section(**changes: Any) -> dict[str, Any]:
    """The `model` section as `conf/model/lstm.yaml` has it, small, with some keys changed."""
    small = {"embedding_size": 5, "hidden_size": 7, "num_layers": 2, "init": "orthogonal"}
    section = OmegaConf.to_container(OmegaConf.merge(OmegaConf.load(MODEL_YAML), small, changes), resolve=True)
    assert isinstance(section, dict)
    return section  # type: ignore[return-value]


def lstm(vocabulary_size: int, **changes: Any) -> LanguageModel:
    """An LSTM that prefers some tokens clearly: a fresh model's distribution is too even to tell mistakes."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = build_model(lstm_section(**changes), vocabulary_size).eval()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.startswith(("head", "embedding")):
                    parameter.normal_(std=2.0)
    return model


def char_tokenizer(alphabet: str = ALPHABET) -> CharTokenizer:
    return CharTokenizer("".join(sorted(set(alphabet))))


class Scripted(LanguageModel):
    """Predicts the tokens of a script, one after the other, whatever it reads; the state is the place in it `[B]`."""

    OptionsType: ClassVar[type[Options]] = Options

    def __init__(self, script: list[int], vocabulary_size: int) -> None:
        super().__init__(Options(), vocabulary_size)
        self.scale = torch.nn.Parameter(torch.tensor(10.0))
        self.script = torch.tensor(script)

    def initial_state(self, batch_size: int) -> Tensor:
        return torch.zeros(batch_size, dtype=torch.int64)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        places = state + torch.arange(len(tokens)).unsqueeze(1)
        logits = torch.nn.functional.one_hot(self.script[places % len(self.script)], self.vocabulary_size)
        return logits * self.scale, state + len(tokens)

    def use_forward(
        self, forward: str | Mapping[str, Any], device: torch.device, workload: Workload
    ) -> SelectedStrategy:
        raise NotImplementedError

    def activation_floats(self, tokens: int) -> int:
        return 0


class FixedLogits(Scripted):
    """Predicts one and the same distribution for ever."""

    def __init__(self, logits: list[float]) -> None:
        super().__init__([0], len(logits))
        self.register_buffer("logits", torch.tensor(logits))

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return self.logits.expand(*tokens.shape, -1), state  # type: ignore[operator]
