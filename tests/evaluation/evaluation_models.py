"""Small models, tokenizers and texts for the tests of evaluation."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from omegaconf import OmegaConf
from rounding import bound
from torch import Tensor, nn

from lstm_lm.cells.lstm import LSTM
from lstm_lm.cli.hydra.conf import conf_dir
from lstm_lm.data.token_stream import ON_HOST
from lstm_lm.evaluation.methods import method_of
from lstm_lm.evaluation.methods.interface import Subject, Windows
from lstm_lm.evaluation.token_sizes import TokenSizes
from lstm_lm.forward.choose import SelectedStrategy
from lstm_lm.forward.interface import StackSpec, Workload
from lstm_lm.forward.strategies.fused import Fused
from lstm_lm.models.build import build_model
from lstm_lm.models.interface import LanguageModel
from lstm_lm.options import Options
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.char import CharTokenizer

CPU = torch.device("cpu")
USUAL = Windows(batch_size=2, seq_len=16, context=8)


class Planned(LanguageModel):
    """A model without a stack: a subclass says what it predicts."""

    OptionsType: ClassVar[type[Options]] = Options

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__(Options(), vocabulary_size)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))

    def initial_state(self, batch_size: int) -> Any:
        return torch.zeros(batch_size)

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.bias.expand(*tokens.shape, -1), state

    def use_forward(
        self, forward: str | Mapping[str, Any], device: torch.device, workload: Workload
    ) -> SelectedStrategy:
        return SelectedStrategy(Fused(), "there is nothing to choose")

    def activation_floats(self, tokens: int) -> int:
        return 0


class Bigrams(Planned):
    """The next token's logits are a row of one matrix, `[V, V]`: the token before says which."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__(matrix.shape[1])
        del self.bias
        self.matrix = nn.Parameter(matrix.clone())

    def forward(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self.matrix[tokens], state


class Copies(Planned):
    """Is almost sure of the token `lag` before the one to predict, once it has seen that; until then of nothing.

    The state is the last `lag` tokens `[lag, B]`, -1 before the first.
    """

    def __init__(self, lag: int, vocabulary_size: int, sure: float = 8.0) -> None:
        super().__init__(vocabulary_size)
        self.lag, self.sure = lag, sure

    def initial_state(self, batch_size: int) -> Tensor:
        return torch.full((self.lag, batch_size), -1)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        seen = torch.cat([state, tokens])
        source = seen[1 : len(tokens) + 1]  # the token `lag` before each prediction, the last one read being 1 before
        known = (source >= 0).unsqueeze(-1)
        logits = torch.nn.functional.one_hot(source.clamp(min=0), self.vocabulary_size) * self.sure
        return logits * known + self.bias, seen[len(seen) - self.lag :]


def lstm(vocabulary_size: int, **changes: Any) -> LanguageModel:
    """A small LSTM with weights drawn from seed 4."""
    small = {"embedding_size": 5, "hidden_size": 7, "num_layers": 2}
    section = OmegaConf.merge(OmegaConf.load(conf_dir() / "model" / "lstm.yaml"), small, changes)
    plain = OmegaConf.to_container(section, resolve=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        return build_model(plain, vocabulary_size).eval()  # type: ignore[arg-type]


def rounding_of(loss: float, model: LanguageModel) -> float:
    """How far the mean loss of `lstm`, or another model of its size, may be from that in other windows or batches."""
    given: Any = model.options
    spec = StackSpec(LSTM, given.embedding_size, (max(given.embedding_size, 8),) * given.num_layers)
    window = torch.empty(2 * given.num_layers, 1)  # longer ones round no more
    two = bound(spec, window, torch.float32, reference=torch.float32, beside=2)  # the head, and the loss
    return two.values * loss


def letters(count: int) -> CharTokenizer:
    """A tokenizer with `count` characters, a byte each."""
    return CharTokenizer("".join(chr(ord("0") + number) for number in range(count)))


def subject(
    model: LanguageModel,
    texts: Mapping[str, Any],
    *,
    tokenizer: Tokenizer | None = None,
    windows: Windows = USUAL,
    replaced: int = 0,
    forward: str = "auto",
) -> Subject:
    """A model and the ids of its splits."""
    known = tokenizer or letters(model.vocabulary_size)
    return Subject(
        model=model,
        tokens={split: ON_HOST.place(np.asarray(ids)) for split, ids in texts.items()},  # type: ignore[misc]
        replaced=dict.fromkeys(texts, replaced),  # type: ignore[arg-type]
        sizes=TokenSizes(known),
        tokenizer=known,
        windows=windows,
        device=CPU,
        dtype=torch.float32,
        autocast=None,
        use_forward=lambda workload: model.use_forward(forward, CPU, workload),
    )


def evaluated(subject: Subject, method: str, **changes: Any) -> dict[str, Any]:
    """The figures of `conf/method/METHOD.yaml`, with some keys changed."""
    section = OmegaConf.to_container(OmegaConf.load(conf_dir() / "method" / f"{method}.yaml"), resolve=True)
    return method_of({**section, **changes}).evaluate(subject).figures  # type: ignore[dict-item]
