"""`model=ffn`: a feed-forward language model of a fixed window.

Bengio et al., "A Neural Probabilistic Language Model" (2003): the vectors of the last C = context_size tokens, side by
side, go through hidden layers into logits; direct connections lead from those vectors to the logits as well.

All T windows of a call are one product. The state is the last C - 1 tokens, so a token's context does not depend on how
a text is cut into calls; what lies before the text has a vector of its own, which is learned.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from lstm_lm.models.direct import DirectLanguageModel
from lstm_lm.models.masked_layers import MaskedLinear
from lstm_lm.models.widths import TiedWidths
from lstm_lm.options import Probability

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"tanh": torch.tanh, "relu": F.relu, "gelu": F.gelu}
BEFORE = 0
"""In the state and in windows: no token yet. Token i is i + 1 there, so that a state of zeros is that before a text."""


class FFNOptions(TiedWidths):
    """The `model` section of `model=ffn`."""

    name: str
    context_size: Annotated[int, Field(ge=1, le=65536)]
    activation: Literal["tanh", "relu", "gelu"]
    direct_connections: bool
    dropout: Probability
    embedding_dropout: Probability
    layer_dropout: Probability
    output_dropout: Probability


class FFNLanguageModel(DirectLanguageModel):
    """A feed-forward language model; the state is int64 `[C - 1, B]`, the last tokens, the oldest first."""

    OptionsType = FFNOptions
    token_parts = ("embedding", "head", "direct")
    compilable = ("embedding", "layers", "head")

    def __init__(self, options: FFNOptions, vocabulary_size: int) -> None:
        super().__init__(options, vocabulary_size)
        self.options = options
        widths, window = options.hidden_sizes, options.context_size * options.embedding_size
        self.embedding = WindowEmbedding(vocabulary_size, options.embedding_size, options.context_size)
        self.layers = HiddenLayers(window, widths, options.activation)
        self.head = MaskedLinear(widths[-1], vocabulary_size)
        self.direct = nn.Linear(window, vocabulary_size, bias=False) if options.direct_connections else None
        if options.tie_weights:
            self.head.weight = self.embedding.weight

    @property
    def context_limit(self) -> int:
        """C."""
        return self.options.context_size

    def reset_parameters(self) -> None:
        """Glorot and Bengio (2010) with tanh, He et al. (2015) with the others; the logits start near zero."""
        options = self.options
        if options.tie_weights:  # these rows are also the output's
            nn.init.normal_(self.embedding.weight, std=options.embedding_size**-0.5)
        else:
            nn.init.normal_(self.embedding.weight)
            nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.embedding.before)
        nn.init.zeros_(self.head.bias)
        for layer in self.layers:
            assert isinstance(layer, nn.Linear)
            if options.activation == "tanh":
                nn.init.xavier_uniform_(layer.weight)
            else:
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        if self.direct is not None:  # as in the paper's best models, they add to what the layers say
            nn.init.zeros_(self.direct.weight)

    def initial_state(self, batch_size: int) -> Tensor:
        """Nothing read yet: all zeros."""
        device = self.embedding.weight.device
        return torch.full((self.options.context_size - 1, batch_size), BEFORE, dtype=torch.int64, device=device)

    def forward(self, tokens: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        options, like = self.options, self.embedding.weight
        steps, batch = tokens.shape
        read = torch.cat([state, tokens + 1])
        embedding_mask = self._mask(options.embedding_dropout, (len(read), batch, options.embedding_size), like)
        *inner, last = options.hidden_sizes
        between = [self._mask(options.layer_dropout, (steps, batch, width), like) for width in inner]
        output_mask = self._mask(options.output_dropout, (steps, batch, last), like)
        windows = self.embedding(read, embedding_mask)
        logits = self.head(self.layers(windows, between), output_mask)
        if self.direct is not None:
            logits = logits + self.direct(windows)
        return logits, read[steps:]

    def activation_floats(self, tokens: int) -> int:
        """Embeddings and their windows, each layer's sums and outputs with their masks, logits and their gradient."""
        options = self.options
        kept = 1 if options.activation in ("tanh", "relu") else 2
        masked = bool(options.layer_dropout or options.output_dropout)
        inside = (kept + 2 * masked) * sum(options.hidden_sizes)
        return tokens * (options.embedding_size * (1 + options.context_size) + inside + 3 * self.vocabulary_size)


class WindowEmbedding(nn.Module):
    """The vectors of the last C tokens side by side, at every step."""

    def __init__(self, vocabulary_size: int, embedding_size: int, context_size: int) -> None:
        super().__init__()
        self.context_size = context_size
        self.weight = nn.Parameter(torch.empty(vocabulary_size, embedding_size))
        self.before = nn.Parameter(torch.empty(embedding_size))
        """What stands where there is no token yet."""

    def forward(self, read: Tensor, mask: Tensor | None) -> Tensor:
        """`read[C - 1 + T, B]` (see `BEFORE`), `mask[C - 1 + T, B, E]` -> `[T, B, C * E]`, the oldest first."""
        x = F.embedding((read - 1).clamp(min=0), self.weight)
        x = torch.where((read == BEFORE).unsqueeze(-1), self.before, x)
        if mask is not None:
            x = x * mask
        return x.unfold(0, self.context_size, 1).transpose(2, 3).flatten(2)


class HiddenLayers(nn.ModuleList):
    """Linear layers, each with its activation, in one graph for torch.compile."""

    def __init__(self, input_size: int, widths: list[int], activation: str) -> None:
        sizes = [input_size, *widths]
        super().__init__(nn.Linear(i, o) for i, o in pairwise(sizes))
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor, between: list[Tensor | None]) -> Tensor:
        """`x[T, B, C * E]` and a mask `[T, B, H_l]` after each layer but the last -> `[T, B, H_L]`."""
        for layer, mask in zip(self, [*between, None], strict=True):
            x = self.activation(layer(x))
            if mask is not None:
                x = x * mask.to(x.dtype)
        return x


MODEL = FFNLanguageModel
