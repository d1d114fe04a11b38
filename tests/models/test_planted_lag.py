"""Learning from a fixed window: a token that repeats an earlier one is learned where that one is in sight."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from windowed_models import section

from lstm_lm.models.build import build_model

LAG = 6
SYMBOLS = 4


def copies(steps: int, batch: int, seed: int) -> Tensor:
    """`[T, B]`: the first LAG tokens of each stream are random; a tenth of the later ones are, the rest are copies."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(SYMBOLS, (steps, batch), generator=generator)
    fresh = torch.rand((steps, batch), generator=generator) < 0.1
    for t in range(LAG, steps):
        tokens[t] = torch.where(fresh[t], tokens[t], tokens[t - LAG])
    return tokens


def loss_after_training(name: str, context_size: int) -> float:
    """Nats per token, of windows of 5 with carried state: shorter than the lag, so the state must carry it."""
    torch.manual_seed(0)
    sizes = {"embedding_size": 16, "hidden_size": 32, "num_layers": 1, "context_size": context_size}
    model = build_model(section(name, **sizes), SYMBOLS)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    text, state = copies(2001, 16, seed=1), model.initial_state(16)
    for start in range(0, 2000, 5):
        logits, state = model(text[start : start + 5], state)
        loss = F.cross_entropy(logits.flatten(0, 1), text[start + 1 : start + 6].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        state = state.detach() if isinstance(state, Tensor) else (state[0], tuple(cache.detach() for cache in state[1]))
    unseen = copies(201, 16, seed=2)
    with torch.no_grad():
        logits, _ = model(unseen[:-1], model.initial_state(16))
    return F.cross_entropy(logits[LAG:].flatten(0, 1), unseen[LAG + 1 :].flatten()).item()


@pytest.mark.parametrize("name", ["transformer", "ffn"])
def test_a_lag_is_learned_where_the_window_reaches_it_and_not_where_it_ends_before(name: str) -> None:
    """To predict the next token, the one LAG - 1 back must be seen: LAG tokens in all."""
    chance = math.log(SYMBOLS)
    assert loss_after_training(name, LAG) < 0.6 * chance
    assert loss_after_training(name, LAG - 1) > 0.9 * chance
