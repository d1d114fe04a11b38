"""Rotary positions: queries and keys are turned by their position, so that their product depends on the distance alone.

Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding" (2021). Here every frequency is a whole
multiple of one turn in PERIOD tokens, so that a position counts modulo PERIOD and an angle is as exact after any number
of tokens as after the first. Counted in float32 radians, a position of a few millions would be off by a tenth of one.
"""

import math

import torch
from torch import Tensor, nn

PERIOD = 2**24
"""Tokens after which all angles repeat; float32 holds every whole number up to it."""


class Rotary(nn.Module):
    """The angles of d / 2 planes."""

    turns: Tensor

    def __init__(self, head_size: int, base: float) -> None:
        """Compute the angles' rates.

        Args:
            head_size: d, even.
            base: plane i turns by base^(-2 i / d) radians a token, to within half a turn in PERIOD tokens.
        """
        super().__init__()
        exact = (PERIOD / math.tau * base ** (-2 * plane / head_size) for plane in range(head_size // 2))
        turns = torch.tensor([max(1, round(count)) for count in exact])
        self.register_buffer("turns", turns, persistent=False)  # int64 [d / 2]: turns in PERIOD tokens

    def forward(self, positions: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """int64 `positions[T]` -> cosines and sines `[T, 1, 1, d / 2]` in `dtype`."""
        step = positions.remainder(PERIOD)[:, None, None, None]
        angles = (step * self.turns).remainder(PERIOD).to(dtype) * (math.tau / PERIOD)
        return angles.cos(), angles.sin()


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """`x[..., T, B, heads, d]` turned by a `Rotary`'s angles, in x's type; plane i holds numbers i and i + d / 2."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)
