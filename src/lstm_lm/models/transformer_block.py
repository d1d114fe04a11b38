"""One layer of a Transformer decoder: attention over a sliding window, then a gated or plain feed-forward part.

Pre-norm (Xiong et al., "On Layer Normalization in the Transformer Architecture", 2020) with RMSNorm (Zhang and
Sennrich, 2019); no biases; SwiGLU as in Shazeer, "GLU Variants Improve Transformer" (2020).

What earlier calls computed is handed back in, as the keys and values of the last tokens: a new token costs one token's
work. Gradient stops there, as in Dai et al., "Transformer-XL" (2019), and as there what the layer read is kept: where
gradients are wanted, keys and values are computed again from it, so that their projections learn from all that
attention sees. (Without that, a pattern longer than a window of training was not learned.)
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lstm_lm.models.rotary import rotate

EPSILON = 1e-5


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)); one graph for torch.compile."""

    def __init__(self, embedding_size: int, hidden_size: int, num_heads: int, *, gated: bool) -> None:
        """Make the parameters, uninitialised but for the norms' gains of 1.

        Args:
            embedding_size: E, a multiple of num_heads.
            hidden_size: H, width of the feed-forward part.
            num_heads: heads of E / num_heads = d numbers each; d is even.
            gated: SwiGLU; otherwise GELU.
        """
        super().__init__()
        self.num_heads, self.gated = num_heads, gated
        self.attention_norm = nn.RMSNorm(embedding_size, eps=EPSILON)
        self.query_key_value = nn.Linear(embedding_size, 3 * embedding_size, bias=False)
        self.attention_out = nn.Linear(embedding_size, embedding_size, bias=False)
        self.feed_forward_norm = nn.RMSNorm(embedding_size, eps=EPSILON)
        self.feed_forward_in = nn.Linear(embedding_size, (1 + gated) * hidden_size, bias=False)
        self.feed_forward_out = nn.Linear(hidden_size, embedding_size, bias=False)

    def forward(
        self,
        x: Tensor,
        cache: Tensor,
        rotation: tuple[Tensor, Tensor],
        visible: Tensor,
        attention_mask: Tensor | None = None,
        feed_forward_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run a window.

        Args:
            x: `[T, B, E]`.
            cache: of the S tokens before, keys (turned by their position), values, and what both were made from,
                `[3, B, heads, S, d]`.
            rotation: of the S + T positions, from `Rotary`.
            visible: `[T, S + T]`, 0 where a query sees a key, else minus infinity.
            attention_mask: of dropout on what attention adds, `[T, B, E]`.
            feed_forward_mask: of dropout on what the feed-forward part adds, `[T, B, E]`.

        Returns:
            `[T, B, E]`, and the cache of the last S tokens.
        """
        added, cache = self._attend(self.attention_norm(x), cache, rotation, visible)
        x = x + (added if attention_mask is None else added * attention_mask)
        inner = self.feed_forward_in(self.feed_forward_norm(x))
        if self.gated:
            gate, value = inner.chunk(2, dim=-1)
            inner = F.silu(gate) * value
        else:
            inner = F.gelu(inner)
        added = self.feed_forward_out(inner)
        return x + (added if feed_forward_mask is None else added * feed_forward_mask), cache

    def _attend(
        self, x: Tensor, cache: Tensor, rotation: tuple[Tensor, Tensor], visible: Tensor
    ) -> tuple[Tensor, Tensor]:
        shape, heads = x.shape, (self.num_heads, x.shape[-1] // self.num_heads)
        steps, slots = len(x), cache.shape[3]
        now = (rotation[0][slots:], rotation[1][slots:])
        weights = self.query_key_value.weight
        if torch.is_grad_enabled():
            before = cache[2].permute(2, 0, 1, 3).reshape(slots, *shape[1:])
            read = torch.cat([before, x.to(cache.dtype)])
            queries = rotate(_split(F.linear(x, weights[: shape[-1]]), heads), now)
            keys, values = _split(F.linear(read, weights[shape[-1] :]), (2, *heads)).unbind(2)
            known = _rows(rotate(keys, rotation), values, _split(read, heads))
        else:
            queries, keys, values = _split(F.linear(x, weights), (3, *heads)).unbind(2)
            queries, keys = rotate(torch.stack([queries, keys]), now)
            new = _rows(keys, values, _split(x, heads))
            known = torch.cat([cache, new], dim=3)
        y = F.scaled_dot_product_attention(queries.permute(1, 2, 0, 3), known[0], known[1], attn_mask=visible)
        return self.attention_out(y.permute(2, 0, 1, 3).reshape(shape)), known[:, :, :, steps:]


def _rows(keys: Tensor, values: Tensor, read: Tensor) -> Tensor:
    """Each `[T, B, heads, d]` -> `[3, B, heads, T, d]`, in the keys' type."""
    return torch.stack([keys, values, read.to(keys.dtype)]).permute(0, 2, 3, 1, 4)


def _split(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The last dimension as several."""
    return x.view(*x.shape[:-1], *sizes)
