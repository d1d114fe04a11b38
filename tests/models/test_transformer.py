"""What is the Transformer's own: attention as a formula says, positions, the edge of the window, initial weights."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from windowed_models import in_pieces, model, section, text

from lstm_lm.models.backbones.transformer import TransformerLanguageModel
from lstm_lm.models.build import build_model
from lstm_lm.models.rotary import PERIOD, Rotary, rotate
from lstm_lm.models.transformer_block import TransformerBlock


def transformer(**changes: Any) -> TransformerLanguageModel:
    made = model("transformer", **changes)
    assert isinstance(made, TransformerLanguageModel)
    return made


def written_out(lm: TransformerLanguageModel, ids: Tensor) -> Tensor:
    """The model's formulas for one text `[T]`, one query at a time, the whole text at once; logits `[T, V]`."""
    options = lm.options
    heads, d = options.num_heads, options.embedding_size // options.num_heads

    def norm(x: Tensor, gain: Tensor) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * gain

    def turned(x: Tensor, position: int) -> Tensor:
        halves = x.reshape(heads, 2, d // 2)
        angles = position * options.rotary_base ** (-2 * torch.arange(d // 2, dtype=torch.float64) / d)
        numbers = torch.complex(halves[:, 0], halves[:, 1]) * torch.polar(torch.ones_like(angles), angles)
        return torch.cat([numbers.real, numbers.imag], dim=-1)

    x = lm.embedding.weight[ids]
    for block in lm.blocks:
        assert isinstance(block, TransformerBlock)
        q, k, v = F.linear(norm(x, block.attention_norm.weight), block.query_key_value.weight).chunk(3, dim=-1)
        rows = []
        for t in range(len(ids)):
            seen = range(max(0, t - options.context_size + 1), t + 1)
            keys = torch.stack([turned(k[j], j) for j in seen], dim=1)
            values = torch.stack([v[j].reshape(heads, d) for j in seen], dim=1)
            weights = torch.einsum("hd,hsd->hs", turned(q[t], t), keys).div(math.sqrt(d)).softmax(-1)
            rows.append(torch.einsum("hs,hsd->hd", weights, values).flatten())
        x = x + F.linear(torch.stack(rows), block.attention_out.weight)
        inner = F.linear(norm(x, block.feed_forward_norm.weight), block.feed_forward_in.weight)
        if block.gated:
            gate, value = inner.chunk(2, dim=-1)
            inner = gate * gate.sigmoid() * value
        else:
            inner = F.gelu(inner)
        x = x + F.linear(inner, block.feed_forward_out.weight)
    return F.linear(norm(x, lm.head.norm.weight), lm.head.weight)


@pytest.mark.parametrize("activation", ["swiglu", "gelu"])
@pytest.mark.parametrize("lengths", [[15], [2, 1, 7, 5]], ids=str)
def test_it_computes_what_its_formulas_say(activation: str, lengths: list[int]) -> None:
    lm, tokens = transformer(activation=activation), text(15)
    logits = in_pieces(lm, tokens, lengths)
    for stream in range(3):  # a frequency is rounded to whole turns in PERIOD tokens: by 1e-7 or less at these sizes
        torch.testing.assert_close(logits[:, stream], written_out(lm, tokens[:, stream]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("read", [1, 12_345, PERIOD - 3, 10**12])
def test_only_distances_count_however_much_has_been_read(read: int) -> None:
    lm = transformer()
    _, (_, caches) = lm(text(9, seed=1), lm.initial_state(3))
    lm.rotary.double()

    def moved(cache: Tensor, by: int) -> Tensor:
        """The same cache, its keys turned as if read `by` tokens later."""
        keys = rotate(cache[:1], lm.rotary(torch.tensor([by]), torch.float64))
        return torch.cat([keys, cache[1:]])

    expected, _ = lm(text(6), (torch.tensor(9), caches))
    logits, _ = lm(text(6), (torch.tensor(9 + read), tuple(moved(cache, read) for cache in caches)))
    torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)


def test_positions_in_float32_stay_exact() -> None:
    rotary = Rotary(8, 10_000.0)
    positions = torch.tensor([0, 1, 1000, 3_000_000, PERIOD + 1, 10**12])
    for single, double in zip(rotary(positions, torch.float32), rotary(positions, torch.float64), strict=True):
        torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-6)
    torch.testing.assert_close(rotary(positions[4:5], torch.float64), rotary(positions[1:2], torch.float64))


def test_no_gradient_crosses_into_a_state_that_was_cut_off() -> None:
    """Transformer-XL's rule: earlier windows are read, not trained; within a window all are."""
    lm = transformer()
    _, (read, caches) = lm(text(5), lm.initial_state(3))
    leaves = tuple(cache.detach().requires_grad_() for cache in caches)
    lm(text(3), (read, leaves))[0].sum().backward()
    assert all(leaf.grad is not None and leaf.grad.any() for leaf in leaves), "they are read"
    logits, _ = lm(text(3), (read, tuple(cache.detach() for cache in caches)))
    assert logits.requires_grad


def test_initial_weights_are_gpt_2s() -> None:
    torch.manual_seed(0)
    lm = build_model(section("transformer", embedding_size=64, hidden_size=128, num_layers=8, num_heads=4), 50)
    for name, parameter in lm.named_parameters():
        if parameter.ndim < 2:
            assert (parameter == 1).all(), name
        else:
            adds = name.endswith(("attention_out.weight", "feed_forward_out.weight"))
            assert parameter.std().item() == pytest.approx(0.02 / 4 if adds else 0.02, rel=0.1), name


def test_mixed_precision_keeps_its_cache_in_the_products_type() -> None:
    lm, tokens = transformer().float(), text(8)
    exact, _ = lm(tokens, lm.initial_state(3))
    with torch.autocast("cpu", torch.bfloat16):
        logits, state = lm(tokens[:5], lm.initial_state(3))
        more, (_, caches) = lm(tokens[5:], state)
    assert {cache.dtype for cache in caches} == {torch.bfloat16}
    torch.testing.assert_close(torch.cat([logits, more]).float(), exact, rtol=0.1, atol=0.3)
