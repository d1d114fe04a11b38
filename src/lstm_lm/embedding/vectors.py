"""From token ids to vectors, by what kind of model there is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lstm_lm.errors import UserError
from lstm_lm.models.backbones.autoencoder import Autoencoder
from lstm_lm.models.interface import LanguageModel
from lstm_lm.tokenizers.interface import Ids

Rows = NDArray[np.float32]


class Embedder(ABC):
    """Makes vectors; the model is in evaluation mode."""

    how: str
    """What a vector is, for people to read."""

    @property
    @abstractmethod
    def size(self) -> int:
        """D, numbers of a vector."""

    def __init__(self, model: Any, steps: int) -> None:
        """`steps`: tokens that the model reads at once."""
        self.model = model
        self.steps = steps
        self.device = next(model.parameters()).device

    @abstractmethod
    def rows(self, texts: Sequence[Ids]) -> Tensor:
        """The vector of each of `texts`, none of them empty: `[B, D]`."""


class OfTheEncoder(Embedder):
    """An autoencoder's own vector.

    Of a text longer than it was trained on: the mean over pieces of about the same length, weighted by their lengths.
    """

    how = "the autoencoder's vector"

    @property
    def size(self) -> int:
        return int(self.model.vector_size)

    def rows(self, texts: Sequence[Ids]) -> Tensor:
        cut = [np.array_split(ids, -(-len(ids) // self.steps)) for ids in texts]
        pieces = [piece for each in cut for piece in each]
        tokens, lengths = _columns(pieces, self.device)
        vectors = self.model.encode(tokens, lengths).float()
        if len(pieces) == len(texts):
            return torch.as_tensor(vectors)
        owner = torch.tensor([number for number, each in enumerate(cut) for _ in each], device=self.device)
        weights = lengths.float().unsqueeze(1)
        summed: Tensor = vectors.new_zeros(len(texts), vectors.shape[1]).index_add_(0, owner, vectors * weights)
        return summed / weights.new_zeros(len(texts), 1).index_add_(0, owner, weights)


class MeanHidden(Embedder):
    """The mean of a language model's last hidden states over a text, from a zero state; of any length."""

    how = "the mean of the last layer's hidden states"

    @property
    def size(self) -> int:
        return int(self.model.options.hidden_sizes[-1])

    def rows(self, texts: Sequence[Ids]) -> Tensor:
        tokens, lengths = _columns(texts, self.device)
        state = self.model.initial_state(len(texts))
        total: Tensor | float = 0.0
        for start in range(0, len(tokens), self.steps):
            window = tokens[start : start + self.steps]
            outputs = self.model.forward_with_hidden(window, state)
            state = outputs.state
            at = torch.arange(start, start + len(window), device=self.device).unsqueeze(1)
            total = total + (outputs.hidden.float() * (at < lengths).unsqueeze(2)).sum(dim=0)
        return torch.as_tensor(total / lengths.unsqueeze(1))


def embedder_of(model: LanguageModel, name: str, steps: int) -> Embedder:
    """What makes vectors with `model`, the backbone called `name`, trained on windows of `steps` tokens.

    Raises:
        UserError: none can be made with it.
    """
    if isinstance(model, Autoencoder):
        return OfTheEncoder(model, steps)
    if model.hands_out_hidden:
        return MeanHidden(model, steps)
    raise UserError(
        f"model={name}: hands out no hidden states, so it makes no vectors\n"
        "use a run of experiment=autoencoder, or of model=lstm, gru or rnn"
    )


def _columns(texts: Sequence[Ids], device: torch.device) -> tuple[Tensor, Tensor]:
    """int64 `[T, B]`, padded with 0, and lengths `[B]`."""
    lengths = np.array([len(ids) for ids in texts])
    tokens = np.zeros((lengths.max(), len(texts)), np.int64)
    for column, ids in enumerate(texts):
        tokens[: len(ids), column] = ids
    return torch.from_numpy(tokens).to(device), torch.from_numpy(lengths).to(device)
