"""Whether exported files compute what the model does: on a text that the model itself writes, which needs no other."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from lstm_lm.errors import RunError
from lstm_lm.exporting.formats.interface import Logits
from lstm_lm.models.interface import LanguageModel

TOKENS = 200
TOLERANCE = 1e-4
"""Of the largest logit, or of 1: what 200 steps in float32, summed in another order, stay below."""
SEED = 0


class Comparison(NamedTuple):
    """How far files are from the model."""

    tokens: int
    """How many the files have read."""
    difference: float
    """The largest one of a logit, over all files and tokens, from the run's own model."""
    between: dict[str, float]
    """By file, the largest one from the model with the weights as the file holds them."""
    scale: float
    """The largest logit, or 1."""
    cost: float | None
    """Nats a token that rounded weights add to the loss on the model's own text; None: they are not rounded."""

    @property
    def wrong(self) -> str | None:
        """A file that computes something else; None: there is none."""
        # `not <=`: a difference that is no number is one
        wrong = (name for name, found in self.between.items() if not found <= TOLERANCE * self.scale)
        return next(wrong, None)


def compare(
    own: LanguageModel,
    rounded: LanguageModel,
    computed: Callable[[npt.NDArray[np.int64]], Mapping[str, Logits]],
) -> Comparison:
    """Let the model write 200 tokens, and files read them.

    Args:
        own: the run's model.
        rounded: the same with the weights as the files hold them; or `own`.
        computed: what the files compute of `tokens[T]`, by name.

    Raises:
        RunError: the model's weights have diverged.
    """
    tokens = written(own, TOKENS)
    expected = logits(own, tokens)
    held = expected if rounded is own else logits(rounded, tokens)
    found = computed(tokens)
    return Comparison(
        tokens=len(tokens),
        difference=max(_largest(expected, file) for file in found.values()),
        between={name: _largest(held, file) for name, file in found.items()},
        scale=max(1.0, float(np.abs(expected).max())),
        cost=None if rounded is own else cost(expected, held),
    )


@torch.inference_mode()
def written(model: LanguageModel, count: int) -> npt.NDArray[np.int64]:
    """`count` tokens that `model` draws one after the other, after a first one that is drawn from all; int64[count].

    Raises:
        RunError: its weights have diverged.
    """
    chance = torch.Generator().manual_seed(SEED)
    token = torch.randint(model.vocabulary_size, (1, 1), generator=chance)
    state, tokens = model.initial_state(1), [int(token)]
    while len(tokens) < count:
        drawn, state = model(token, state)
        if not drawn.isfinite().all():
            raise RunError(
                "the model's predictions are not numbers (NaN or infinity): its weights have diverged\n"
                "name an earlier checkpoint, or another run: ckpt_path=FILE, run=DIR"
            )
        token = torch.multinomial(drawn[0].float().softmax(dim=-1), 1, generator=chance)
        tokens.append(int(token))
    return np.array(tokens, np.int64)


@torch.inference_mode()
def logits(model: LanguageModel, tokens: npt.NDArray[np.int64]) -> Logits:
    """What `model` computes of `tokens[T]`: float32 `[T, V]`."""
    found, _ = model(torch.from_numpy(tokens).unsqueeze(1), model.initial_state(1))
    return np.asarray(found[:, 0].float().numpy(), np.float32)


def cost(expected: Logits, found: Logits) -> float:
    """Nats a token that predictions by `found` lose where tokens are drawn by `expected`: Kullback and Leibler's."""
    own = torch.from_numpy(expected).double().log_softmax(dim=-1)
    other = torch.from_numpy(found).double().log_softmax(dim=-1)
    return float((own.exp() * (own - other)).sum(dim=-1).mean())


def _largest(expected: Logits, found: Logits) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(expected - found).max())
