"""From summed log-likelihoods to the figures people compare: loss, perplexity, bits per character and per byte."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torchmetrics import Metric


@dataclass(frozen=True)
class Counts:
    """What the predicted tokens of a split stand for; they let losses of different tokenizers be compared."""

    tokens: int
    characters: int
    bytes: int
    replaced: int
    """Pieces of the text that the tokenizer replaced or left out, so the tokens no longer determine the text."""
    no_bits: str | None = None
    """Why the loss is none in bits, if so."""


@dataclass(frozen=True)
class Scores:
    """The scores of one split."""

    loss: float
    """Nats per token."""
    perplexity: float
    """exp(loss); of tokens, so it compares only runs with one tokenizer."""
    bits_per_character: float | None
    bits_per_byte: float | None
    reason: str | None
    """Why the last two are None, if they are."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """What else an objective counts, 0 to 1, by name."""

    @classmethod
    def of(cls, loss: float, counts: Counts, shares: Mapping[str, float] | None = None) -> "Scores":
        """The scores that a mean `loss` (nats per token) means on text with these `counts`."""
        shares = dict(shares or {})
        perplexity = math.exp(loss) if loss < 700 else math.inf
        reason = counts.no_bits
        if reason is None and counts.replaced:
            reason = f"{counts.replaced:,} pieces of the text are unknown to the tokenizer"
        if reason is not None:
            return cls(loss, perplexity, None, None, reason, shares)
        bits = loss / math.log(2) * counts.tokens
        return cls(loss, perplexity, bits / max(1, counts.characters), bits / max(1, counts.bytes), None, shares)


class TokenLoss(Metric):
    """Mean loss in nats per predicted token, over any number of windows and processes."""

    full_state_update = False
    higher_is_better = False
    nats: Tensor
    tokens: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Sums over 10^9 tokens need float64; Apple's GPUs have none.
        kind = torch.float32 if torch.backends.mps.is_available() else torch.float64
        self.add_state("nats", torch.zeros((), dtype=kind), dist_reduce_fx="sum")
        self.add_state("tokens", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        """Move, but keep the types: a module turned to bfloat16 turns its metrics too, and sums would stand still."""
        kinds = {name: default.dtype for name, default in self._defaults.items() if isinstance(default, Tensor)}
        super()._apply(fn, *args, **kwargs)
        for name, kind in kinds.items():
            setattr(self, name, getattr(self, name).to(kind))
            self._defaults[name] = torch.zeros_like(getattr(self, name))
        return self

    def update(self, nats: Tensor, tokens: Tensor) -> None:
        """Add a window's summed loss and its number of predicted tokens (scalars)."""
        self.nats += nats.to(self.nats.dtype)
        self.tokens += tokens

    def compute(self) -> Tensor:
        """Nats per token; NaN where nothing was predicted."""
        return self.nats / self.tokens
