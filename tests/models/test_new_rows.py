"""A model of some tokens becomes one of more of them: what it knew it keeps, and the new ones get the mean."""

from typing import Any

import pytest
import torch
from quick_compose import compose

from lstm_lm.models.build import build_model
from lstm_lm.models.weights import difference, with_rows

KNOWN, NEW = 7, 3
SMALL: dict[str, Any] = {"embedding_size": 8, "hidden_size": 8, "num_layers": 1}
MODELS: dict[str, dict[str, Any]] = {
    "lstm": SMALL,
    "lstm tied": SMALL | {"tie_weights": True},
    "transformer": SMALL | {"num_heads": 2, "context_size": 4},
    "transformer tied": SMALL | {"num_heads": 2, "context_size": 4, "tie_weights": True},
    "ffn": SMALL | {"context_size": 2, "direct_connections": True, "tie_weights": False},
    "ffn tied": SMALL | {"context_size": 2, "tie_weights": True},
    "autoencoder": SMALL | {"latent_size": 4},
}
each = pytest.mark.parametrize("which", MODELS)


def made(which: str, tokens: int) -> Any:
    name = which.split()[0]
    torch.manual_seed(tokens)
    model = build_model({**compose(f"model={name}")["model"], **MODELS[which]}, tokens).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def grown(which: str) -> tuple[Any, Any]:
    old, new = made(which, KNOWN), made(which, KNOWN + NEW)
    weights = with_rows(old.state_dict(), new, KNOWN)
    assert difference(new.state_dict(), weights) is None
    new.load_state_dict(weights)
    return old, new


@each
def test_old_rows_are_as_they_were_and_new_ones_their_mean(which: str) -> None:
    old, new = (model.state_dict() for model in grown(which))
    more = {name for name in old if old[name].shape != new[name].shape}
    assert {"embedding.weight", "head.weight"} <= more
    for name in old:
        if name not in more:
            assert torch.equal(new[name], old[name]), name
            continue
        assert torch.equal(new[name][:KNOWN], old[name][:KNOWN]), name
        assert torch.equal(new[name][KNOWN + NEW :], old[name][KNOWN:]), name  # an autoencoder's row for no token
        mean = old[name][:KNOWN].mean(0)
        assert all(torch.equal(row, mean) for row in new[name][KNOWN : KNOWN + NEW]), name


@each
@torch.no_grad()
def test_old_text_is_predicted_as_before_but_for_a_share_that_has_a_bound(which: str) -> None:
    old, new = grown(which)
    tokens = torch.randint(KNOWN, (6, 4), generator=torch.Generator().manual_seed(0))
    (before, _), (after, _) = (model(tokens, model.initial_state(4)) for model in (old, new))
    torch.testing.assert_close(after[..., :KNOWN], before)
    share = after.softmax(-1)[..., KNOWN:].sum(-1)
    assert 0 < float(share.min()) <= float(share.max()) <= NEW / (KNOWN + NEW)


def test_a_model_of_as_many_tokens_is_as_it_was() -> None:
    old = made("lstm", KNOWN).state_dict()
    same = with_rows(old, made("lstm", KNOWN), KNOWN)
    assert all(torch.equal(same[name], tensor) for name, tensor in old.items())


def test_another_model_does_not_become_this_one() -> None:
    """A layer that has as many more rows as there are new tokens is no vocabulary."""
    new = made("ffn", KNOWN + NEW)
    narrow = build_model({**compose("model=ffn")["model"], **MODELS["ffn"], "hidden_size": 8 - NEW}, KNOWN)
    problem = difference(new.state_dict(), with_rows(narrow.state_dict(), new, KNOWN))
    assert problem is not None
    assert "layers.0.weight" in problem
