"""The sequence-to-sequence autoencoder: what its encoder reads, and what its decoder may see."""

from typing import Any

import pytest
import torch
from quick_compose import compose
from rounding import Results, assert_close, bound

from lstm_lm.errors import UserError
from lstm_lm.forward.choose import choose
from lstm_lm.forward.interface import Workload
from lstm_lm.models.backbones.autoencoder import Autoencoder
from lstm_lm.models.build import build_model, model_options
from lstm_lm.registry import names

V, Z = 11, 5
TOKENS = torch.arange(20).remainder(V).view(5, 4)  # [T, B]
FULL = torch.full((4,), 5)
CPU = torch.device("cpu")


def section(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = compose("model=autoencoder")["model"]
    return values | {"embedding_size": 6, "hidden_size": [8, 3], "latent_size": Z} | changes


def model(**changes: Any) -> Autoencoder:
    torch.manual_seed(0)
    made = build_model(section(**changes), V)
    assert isinstance(made, Autoencoder)
    return made.eval()


def test_the_decoder_mirrors_the_encoders_widths() -> None:
    both = model(hidden_size=[8, 3])
    assert both.encoder.spec.hidden_sizes == (8, 3)
    assert both.from_the_end is not None
    assert both.from_the_end.spec.hidden_sizes == (8, 3)
    assert both.decoder.spec.hidden_sizes == (3, 8)
    assert both.decoder.spec.input_size == 6 + Z
    assert both.head.weight.shape == (V, 8)
    assert both.embedding.weight.shape == (V + 1, 6), "a row for what is not there"
    one = model(bidirectional=False, hidden_size=8)
    assert one.from_the_end is None
    assert one.to_vector.weight.shape == (Z, 8)


@pytest.mark.parametrize("bidirectional", [True, False])
def test_shapes(bidirectional: bool) -> None:
    both = model(bidirectional=bidirectional)
    vector = both.encode(TOKENS, FULL)
    assert vector.shape == (4, Z)
    logits, (again, layers) = both(TOKENS, both.decoding(vector))
    assert logits.shape == (5, 4, V)
    assert again is vector
    assert [tensor.shape for layer in layers for tensor in layer] == [(4, 3), (4, 3), (4, 8), (4, 8)]


@pytest.mark.parametrize("bidirectional", [True, False])
def test_padding_changes_no_vector(bidirectional: bool) -> None:
    both = model(bidirectional=bidirectional)
    lengths = torch.tensor([5, 1, 3, 2])
    padded = both.encode(torch.cat([TOKENS, TOKENS.flip(0)]), lengths)
    for column, length in enumerate(lengths.tolist()):
        alone = both.encode(TOKENS[:length, column : column + 1], torch.tensor([length]))
        torch.testing.assert_close(padded[column], alone[0])


def test_two_directions_are_torchs_own() -> None:
    """One layer: `torch.nn.LSTM(bidirectional=True)` over the text, its two last outputs joined."""
    both = model(hidden_size=[8], num_layers=1)
    assert both.from_the_end is not None
    theirs = torch.nn.LSTM(6, 8, bidirectional=True)
    backwards = {f"{name}_reverse": tensor for name, tensor in both.from_the_end.state_dict().items()}
    theirs.load_state_dict({**both.encoder.state_dict(), **backwards})
    _, (h, _) = theirs(both.embedding(TOKENS))
    torch.testing.assert_close(both.encode(TOKENS, FULL), both.to_vector(torch.cat([h[0], h[1]], dim=-1)))


def test_the_decoder_cannot_see_what_comes() -> None:
    both = model()
    state = both.decoding(both.encode(TOKENS, FULL))
    changed = TOKENS.clone()
    changed[3] = (changed[3] + 1) % V
    logits, other = both(TOKENS, state)[0], both(changed, state)[0]
    torch.testing.assert_close(logits[:3], other[:3], rtol=0, atol=0)
    assert not torch.equal(logits[3], other[3])


def test_the_vector_is_told_at_every_step() -> None:
    both = model()
    vector = both.encode(TOKENS, FULL)
    first = both(TOKENS[:1], both.decoding(vector))[1]
    kept = both(TOKENS[1:], first)[0]
    other = both(TOKENS[1:], (vector + 1, first[1]))[0]
    assert (kept - other).abs().amin(dim=2).gt(0).all()


def test_a_carried_state_continues_the_text() -> None:
    both = model()
    whole, _ = both(TOKENS, both.initial_state(4))
    first, state = both(TOKENS[:2], both.initial_state(4))
    second, _ = both(TOKENS[2:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole)


def test_word_dropout_hides_preceding_tokens_from_the_decoder_alone() -> None:
    blind = model(word_dropout=1.0).train()
    state = blind.decoding(blind.encode(TOKENS, FULL))
    torch.testing.assert_close(blind(TOKENS, state)[0], blind((TOKENS + 1) % V, state)[0], rtol=0, atol=0)
    blind.eval()
    assert not torch.equal(blind(TOKENS, state)[0], blind((TOKENS + 1) % V, state)[0]), "in training only"
    half = model(word_dropout=0.5).train()
    half.masks.seed(3)
    torch.testing.assert_close(half.encode(TOKENS, FULL), half.encode(TOKENS, FULL), rtol=0, atol=0)
    first = half(TOKENS, state)[0]
    assert not torch.equal(first, half(TOKENS, state)[0]), "another choice each window"
    half.masks.seed(3)
    torch.testing.assert_close(half(TOKENS, state)[0], first, rtol=0, atol=0)


@pytest.mark.parametrize("forward", names("lstm_lm.forward.strategies"))
@pytest.mark.parametrize("bidirectional", [True, False])
def test_every_strategy_computes_the_same(forward: str, bidirectional: bool) -> None:
    """Vector, logits and gradients; dropout included."""
    both = model(bidirectional=bidirectional, hidden_size=8, dropout=0.2).train()

    def run(how: str) -> Results:
        both.zero_grad()
        both.masks.seed(1)
        both.use_forward(how, CPU, Workload(4, 5, torch.float32, training=True))
        vector = both.encode(TOKENS, torch.tensor([5, 1, 3, 2]))
        logits, _ = both(TOKENS, both.decoding(vector))
        logits.square().sum().backward()
        both.close()
        assert both.embedding.weight.grad is not None
        return Results((vector, logits), (), (both.embedding.weight.grad.clone(),))

    beside = 2 * both.encoder.spec.num_layers + 3  # the encoder; what makes its vector, what reads it, the head
    allowed = bound(both.decoder.spec, TOKENS, torch.float32, reference=torch.float32, beside=beside)
    assert_close(run(forward), run("stepwise"), allowed)


def test_what_is_chosen_for_the_decoder_runs_the_encoder() -> None:
    both = model(hidden_size=8)
    work = Workload(4, 5, torch.float32, training=False)
    said = both.use_forward("auto", CPU, work)
    assert said.reason == choose("auto", both.decoder.spec, CPU, work).reason
    assert both.from_the_end is not None
    stacks = (both.encoder, both.from_the_end, both.decoder)
    assert {stack.strategy.name for stack in stacks} == {said.strategy.name}
    assert len({id(stack.strategy) for stack in stacks}) == 3
    with pytest.raises(UserError, match="unequal width"):
        model(hidden_size=[8, 3]).use_forward("wavefront", CPU, work)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"hidden_size": [8]}, "hidden_size=[8] has 1 widths for num_layers=2"),
        ({"latent_size": 0}, "model.latent_size=0"),
        ({"word_dropout": 1.5}, "model.word_dropout=1.5"),
        ({"dropout": 1.0}, "model.dropout=1.0"),
        ({"weight_drop": 0.1}, "model.weight_drop: no such key"),
    ],
)
def test_a_wrong_option_is_refused_by_key_value_and_range(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(UserError) as caught:
        model_options(section(**changes))
    assert key in str(caught.value)
