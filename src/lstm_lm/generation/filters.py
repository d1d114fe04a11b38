"""What temperature, top-k, top-p and min-p do to the logits of the next token. Pure functions of `[N, V]` floats.

A filter sets the logits of the tokens it drops to minus infinity; a softmax over the rest renormalises by itself. Each
row is filtered on its own, and no row is ever left empty: a row's most likely token is always kept. Equal logits are
treated alike, kept together or dropped together, so the result does not depend on the order of the vocabulary; with
ties at the border a filter therefore keeps more than its smallest possible set.

`apply` combines them in this order, each seeing the distribution that the ones before it left: temperature, top-k,
top-p, min-p.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

LOWEST_TEMPERATURE = 1e-30
HIGHEST_TEMPERATURE = 1e30
"""Beyond these, float32 would overflow; the first is already greedy and the second uniform."""

_FIRST_LOOK = 256
"""How many of the most likely tokens top-p looks at before it sorts the whole vocabulary, which is rarely needed."""


@dataclass(frozen=True)
class Sampling:
    """How a token is drawn from the model's distribution; as it is by default, from just that distribution."""

    temperature: float = 1.0
    """>= 0. Divides the logits: below 1 bolder, above 1 more even; 0 takes the most likely token (greedy)."""
    top_k: int | None = None
    """>= 1; None: off. Only the k most likely tokens."""
    top_p: float = 1.0
    """0 < p <= 1; 1: off. Only the most likely tokens that together reach the probability p."""
    min_p: float = 0.0
    """0 <= p <= 1; 0: off. Only tokens with at least p times the most likely token's probability."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.temperature < math.inf:
            raise ValueError(f"temperature={self.temperature}: must be a number >= 0")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k={self.top_k}: must be None or >= 1")
        if not 0.0 < self.top_p <= 1.0:
            raise ValueError(f"top_p={self.top_p}: must be > 0 and <= 1")
        if not 0.0 <= self.min_p <= 1.0:
            raise ValueError(f"min_p={self.min_p}: must be >= 0 and <= 1")

    @property
    def greedy(self) -> bool:
        """Whether the most likely token is taken; no filter can change that."""
        return self.temperature == 0.0

    def filters(self, vocabulary_size: int) -> bool:
        """Whether top-k, top-p or min-p can drop a token of V = `vocabulary_size`."""
        few = self.top_k is not None and self.top_k < vocabulary_size
        return not self.greedy and (few or self.top_p < 1.0 or self.min_p > 0.0)


def apply(logits: Tensor, sampling: Sampling) -> Tensor:
    """Temperature, then top-k, top-p and min-p; `logits` floats `[N, V]`, temperature above 0."""
    logits = scale(logits, sampling.temperature)
    if sampling.top_k is not None:
        logits = keep_top_k(logits, sampling.top_k)
    if sampling.top_p < 1.0:
        logits = keep_top_p(logits, sampling.top_p)
    if sampling.min_p > 0.0:
        logits = keep_min_p(logits, sampling.min_p)
    return logits


def scale(logits: Tensor, temperature: float) -> Tensor:
    """Divide by a temperature above 0 (Ackley, Hinton and Sejnowski, 1985).

    The largest logit of each row becomes 0, which changes no probability and lets no temperature overflow.
    """
    temperature = min(max(temperature, LOWEST_TEMPERATURE), HIGHEST_TEMPERATURE)
    return (logits - logits.amax(-1, keepdim=True)) / temperature


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """Keep the k most likely tokens, and those as likely as the last of them (Fan, Lewis and Dauphin, 2018).

    All are kept where k >= V; k = 1 is greedy, but for ties.
    """
    if k >= logits.shape[-1]:
        return logits
    border = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < border, -torch.inf)


def keep_top_p(logits: Tensor, p: float) -> Tensor:
    """Keep the nucleus: the fewest tokens whose probabilities add up to p (Holtzman et al., 2020).

    Tokens as likely as the last of them stay too. All are kept where p = 1; the smallest p is greedy, but for ties.
    """
    if p >= 1.0:
        return logits
    probabilities = logits.softmax(-1)
    size = logits.shape[-1]
    looked_at = min(_FIRST_LOOK, size)
    while True:
        largest = probabilities.topk(looked_at, dim=-1).values
        before = largest.cumsum(-1) - largest  # the probability of all that are more likely
        inside = before < p
        if looked_at == size or not bool(inside[..., -1].any()):
            break
        looked_at = size
    last = (inside.sum(-1, keepdim=True) - 1).clamp_min(0)
    return logits.masked_fill(probabilities < largest.gather(-1, last), -torch.inf)


def keep_min_p(logits: Tensor, p: float) -> Tensor:
    """Keep tokens with at least p times the probability of the most likely one (Nguyen et al., 2024).

    All are kept where p = 0; p = 1 is greedy, but for ties.
    """
    if p <= 0.0:
        return logits
    return logits.masked_fill(logits < logits.amax(-1, keepdim=True) + math.log(p), -torch.inf)
