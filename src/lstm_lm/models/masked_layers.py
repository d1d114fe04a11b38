"""Layers with the dropout that belongs to them, each one graph for torch.compile.

A mask is drawn by the model and already scaled by 1 / (1 - p); None: no dropout.
"""

from torch import Tensor, nn
from torch.nn import functional as F


class MaskedEmbedding(nn.Embedding):
    """An embedding and the dropout on it, in one graph for torch.compile."""

    def reset_parameters(self) -> None:
        """Nothing: the language model draws all initial parameters in one place."""

    def forward(self, tokens: Tensor, mask: Tensor | None = None, rows: Tensor | None = None) -> Tensor:
        """`tokens[T, B]`, `mask[T, B, E]`, a factor for each row of the matrix `rows[V, 1]` -> `[T, B, E]`."""
        x = F.embedding(tokens, self.weight)
        if rows is not None:
            x = x * F.embedding(tokens, rows)  # which is less than all rows
        return x if mask is None else x * mask


class MaskedLinear(nn.Linear):
    """A linear layer and the dropout before it, in one graph for torch.compile."""

    def reset_parameters(self) -> None:
        """Nothing: the language model draws all initial parameters in one place."""

    def forward(self, y: Tensor, mask: Tensor | None = None) -> Tensor:
        """`y[T, B, H]`, `mask[T, B, H]` -> `[T, B, V]`."""
        return F.linear(y if mask is None else y * mask.to(y.dtype), self.weight, self.bias)
