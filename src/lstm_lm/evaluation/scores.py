"""From summed log-likelihoods to the figures people compare: loss, perplexity, bits per character and per byte."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torchmetrics import Metric

from lstm_lm.data.streams import IGNORE
from lstm_lm.evaluation.token_sizes import Counts, TokenSizes


@dataclass(frozen=True)
class Scores:
    """The scores of one split, or of the part of it that was scored."""

    loss: float
    """Nats per token."""
    counts: Counts
    """How many tokens, characters and bytes were scored."""
    perplexity: float
    """exp(loss); of tokens, so it compares only runs with one tokenizer."""
    bits_per_character: float | None
    bits_per_byte: float | None
    reason: str | None
    """Why there are no bits per character or byte; None: there are."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """What else an objective counts, 0 to 1, by name."""

    @classmethod
    def of(
        cls, loss: float, counts: Counts, no_bits: str | None = None, shares: Mapping[str, float] | None = None
    ) -> "Scores":
        """The scores that a mean `loss` (nats per token) means on tokens with these `counts`.

        `no_bits`: why the loss is none in bits; None: it is.
        """
        shares = dict(shares or {})
        perplexity = math.exp(loss) if loss < 700 else math.inf
        if no_bits is not None:
            return cls(loss, counts, perplexity, None, None, no_bits, shares)
        bits = loss / math.log(2) * counts.tokens
        per_character, per_byte = bits / max(1, counts.characters), bits / max(1, counts.bytes)
        return cls(loss, counts, perplexity, per_character, per_byte, None, shares)

    def named(self, split: str) -> dict[str, float]:
        """Under TensorBoard's names: `val/loss`, ...; those that are None are left out."""
        values = {
            f"{split}/loss": self.loss,
            f"{split}/tokens": float(self.counts.tokens),
            f"{split}/perplexity": self.perplexity,
            f"{split}/bits_per_character": self.bits_per_character,
            f"{split}/bits_per_byte": self.bits_per_byte,
            **{f"{split}/{name}": share for name, share in self.shares.items()},
        }
        return {name: value for name, value in values.items() if value is not None}


def unknown_pieces(replaced: int) -> str | None:
    """Why no loss is one in bits where so many pieces of a text were replaced or left out; None: none were."""
    return f"{replaced:,} pieces of the text are unknown to the tokenizer" if replaced else None


class TokenLoss(Metric):
    """Mean loss in nats per predicted token over any number of windows, and what those tokens stand for.

    With several processes each scores every window; what differs is rounding, so the mean of their sums is taken.
    """

    full_state_update = False
    higher_is_better = False
    nats: Tensor
    counts: Tensor
    of_each: Tensor

    def __init__(self, sizes: TokenSizes) -> None:
        super().__init__()
        # Sums over 10^9 tokens need float64; Apple's GPUs have none.
        kind = torch.float32 if torch.backends.mps.is_available() else torch.float64
        self.add_state("nats", torch.zeros((), dtype=kind), dist_reduce_fx="mean")
        self.add_state("counts", torch.zeros(3, dtype=torch.int64), dist_reduce_fx=_of_the_first)
        self.register_buffer("of_each", sizes.of_each(), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        """Move, but keep the types: a module turned to bfloat16 turns its metrics too, and sums would stand still."""
        kinds = {name: default.dtype for name, default in self._defaults.items() if isinstance(default, Tensor)}
        super()._apply(fn, *args, **kwargs)
        for name, kind in kinds.items():
            setattr(self, name, getattr(self, name).to(kind))
            self._defaults[name] = torch.zeros_like(getattr(self, name))
        return self

    def update(self, nats: Tensor, targets: Tensor) -> None:
        """Add a window: its summed loss (a scalar), and its targets `[T, B]`, of which IGNORE was not predicted."""
        self.nats += nats.to(self.nats.dtype)
        there = targets != IGNORE
        self.counts += (self.of_each[targets.clamp(min=0)] * there[..., None]).sum(dim=(0, 1))

    def compute(self) -> tuple[float, Counts]:
        """Nats per token, and the counts; something must have been predicted."""
        counts = Counts(*self.counts.tolist())
        return float(self.nats) / counts.tokens, counts


def _of_the_first(counts: Tensor) -> Tensor:
    return counts[0]
