"""What is the feed-forward model's own: the formula, direct connections, what stands before a text."""

import torch
from torch.nn import functional as F
from windowed_models import V, model, text

from lstm_lm.models.backbones.ffn import FFNLanguageModel


def ffn(**changes: object) -> FFNLanguageModel:
    made = model("ffn", **changes)
    assert isinstance(made, FFNLanguageModel)
    return made


def test_it_computes_what_bengios_formula_says() -> None:
    """y = b + W x + U tanh(d + H x), x the vectors of the last tokens."""
    lm, tokens = ffn(num_layers=1, activation="tanh", direct_connections=True), text(7)
    logits, _ = lm(tokens, lm.initial_state(3))
    (hidden,) = lm.layers
    assert isinstance(hidden, torch.nn.Linear)
    assert lm.direct is not None
    for t in range(7):
        seen = [
            lm.embedding.weight[tokens[j]] if j >= 0 else lm.embedding.before.expand(3, -1) for j in range(t - 3, t + 1)
        ]
        x = torch.cat(seen, dim=-1)
        y = lm.head.bias + x @ lm.direct.weight.T + torch.tanh(hidden.bias + x @ hidden.weight.T) @ lm.head.weight.T
        torch.testing.assert_close(logits[t], y)


def test_what_stands_before_a_text_is_learned() -> None:
    lm = ffn()
    lm(text(2), lm.initial_state(3))[0].sum().backward()
    assert lm.embedding.before.grad is not None
    assert lm.embedding.before.grad.any()


def test_its_state_is_its_last_tokens() -> None:
    lm, tokens = ffn(), text(9)
    _, state = lm(tokens, lm.initial_state(3))
    assert torch.equal(state - 1, tokens[-3:])


def test_layers_may_have_their_own_widths() -> None:
    lm = ffn(hidden_size=[8, 5])
    assert lm.head.weight.shape == (V, 5)
    assert lm(text(4), lm.initial_state(3))[0].shape == (4, 3, V)


def test_activations_are_torchs() -> None:
    for name, function in (("relu", F.relu), ("gelu", F.gelu), ("tanh", torch.tanh)):
        x = torch.randn(4)
        assert torch.equal(ffn(activation=name).layers.activation(x), function(x))
