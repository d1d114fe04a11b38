"""`model.embedding_word_dropout`: whole rows of the embedding matrix, one mask a window, the model's own draws."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from quick_compose import compose
from test_recurrent_language_model import TOKENS, model
from test_regularisers import watch
from torch import Tensor
from torch.nn import functional as F

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.models.build import build_model
from lstm_lm.models.recurrent_language_model import RecurrentLanguageModel
from lstm_lm.runs import checkpoint_file

Config = Callable[..., dict[str, Any]]

P = 0.5
EVERY_TOKEN = torch.arange(11).repeat(4, 2)  # [T, B]: each of the 11 several times


def read(lm: RecurrentLanguageModel, tokens: Tensor) -> Tensor:
    """What the first layer reads of a window, `[T, B, E]`."""
    seen: list[Tensor] = []
    handle = lm.embedding.register_forward_hook(lambda module, arguments, output: seen.append(output.detach()))
    lm(tokens, lm.initial_state(tokens.shape[1]))
    handle.remove()
    return seen[0]


def rows_of(lm: RecurrentLanguageModel) -> Tensor:
    """The matrix that one window reads, `[V, E]`: wherever a token stands, its row is the same."""
    x = read(lm, EVERY_TOKEN)
    assert torch.equal(x, x[0, :11][EVERY_TOKEN])
    return x[0, :11]


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_a_word_is_dropped_as_a_whole_and_everywhere_in_the_window(name: str) -> None:
    lm = model(name=name, embedding_word_dropout=P)
    rows = rows_of(lm)
    dropped = (rows == 0).all(dim=1)
    assert 0 < dropped.sum() < 11
    torch.testing.assert_close(rows[~dropped], 2 * lm.embedding.weight.detach()[~dropped])


def test_the_next_window_drops_other_words() -> None:
    lm = model(embedding_word_dropout=P)
    assert not torch.equal(rows_of(lm), rows_of(lm))


def test_the_share_that_was_asked_for_is_dropped_and_the_mean_kept() -> None:
    """0.1 is the paper's; the probability is a multiple of 1 / 65,536."""
    section = compose("model.embedding_size=1", "model.hidden_size=2", "model.embedding_word_dropout=0.1")
    many = build_model(section["model"], 20_000)
    assert isinstance(many, RecurrentLanguageModel)
    torch.nn.init.ones_(many.embedding.weight)
    rows = read(many, torch.arange(20_000).view(4, -1)).flatten()
    assert sorted(rows.unique().tolist()) == pytest.approx([0.0, 1 / 0.9], rel=1e-4)
    assert (rows == 0).double().mean().item() == pytest.approx(0.1, abs=5 * (0.09 / 20_000) ** 0.5)


def test_it_is_what_a_masked_matrix_gives_gradients_included() -> None:
    """As AWD-LSTM's own code has it; here only the rows that are read are multiplied."""
    lm = model(embedding_word_dropout=P)
    lm.masks.seed(3)
    mask = lm.masks.draw(P, (11, 1), lm.embedding.weight)
    weight = lm.embedding.weight.detach().clone().requires_grad_()
    F.embedding(TOKENS, weight * mask).square().sum().backward()
    lm.embedding(TOKENS, None, mask).square().sum().backward()
    assert lm.embedding.weight.grad is not None
    torch.testing.assert_close(lm.embedding.weight.grad, weight.grad)
    assert not lm.embedding.weight.grad[mask[:, 0] == 0].any()


def test_tied_weights_are_whole_in_the_output() -> None:
    lm = model(embedding_word_dropout=P, tie_weights=True, hidden_size=[8, 6])
    outputs = lm.forward_with_hidden(TOKENS, lm.initial_state(4))
    torch.testing.assert_close(outputs.logits, F.linear(outputs.hidden, lm.embedding.weight, lm.head.bias))


def test_it_acts_beside_dropout_of_numbers() -> None:
    lm = model(embedding_word_dropout=P, embedding_dropout=P)
    torch.nn.init.ones_(lm.embedding.weight)
    values = read(lm, EVERY_TOKEN)
    assert values.unique().tolist() == pytest.approx([0.0, 4.0])
    dropped = [bool((values[token == EVERY_TOKEN] == 0).all()) for token in range(11)]
    assert True in dropped
    assert False in dropped


def test_it_does_not_move_the_other_draws() -> None:
    """It is drawn last: a run with it differs from one without by it alone."""
    masks = []
    for more in ({}, {"embedding_word_dropout": P}):
        lm = model(dropout=0.5, weight_drop=0.5, **more)
        lm.masks.seed(7)
        seen = watch(lm)
        masks.append([*seen.masks.between, *(weight == 0 for weight in seen.weights)])
    for without, beside in zip(*masks, strict=True):
        assert torch.equal(without, beside)


def test_without_it_nothing_is_drawn() -> None:
    assert compose()["model"]["embedding_word_dropout"] == 0.0
    lm = model()
    before = lm.masks.state()
    torch.testing.assert_close(rows_of(lm), lm.embedding.weight.detach(), rtol=0, atol=0)
    assert lm.masks.state() == before


def test_in_evaluation_no_word_is_dropped() -> None:
    lm = model(embedding_word_dropout=P).eval()
    before = lm.masks.state()
    torch.testing.assert_close(rows_of(lm), lm.embedding.weight.detach(), rtol=0, atol=0)
    assert lm.masks.state() == before


def test_a_resumed_run_drops_the_words_that_the_whole_run_drops(small_config: Config, tmp_path: Path) -> None:
    some = ("model.embedding_word_dropout=0.3", "scheduler=constant")
    lstm_lm.train(small_config(*some, "trainer.max_steps=7"), tmp_path / "whole")
    lstm_lm.train(small_config(*some, "trainer.max_steps=3"), tmp_path / "parts")
    lstm_lm.train(small_config(*some, "trainer.max_steps=7", "resume=auto"), tmp_path / "parts")
    lstm_lm.train(small_config("scheduler=constant", "trainer.max_steps=7"), tmp_path / "without")
    whole, parts, without = (
        checkpoint_file.load(tmp_path / name / "checkpoints" / "last.ckpt")["state_dict"]
        for name in ("whole", "parts", "without")
    )
    assert all(torch.equal(whole[name], tensor) for name, tensor in parts.items())
    assert not torch.equal(whole["model.embedding.weight"], without["model.embedding.weight"])


@pytest.mark.parametrize("p", [1.0, -0.1])
def test_what_is_no_share_is_refused(p: float) -> None:
    with pytest.raises(UserError, match=f"model.embedding_word_dropout={p}"):
        model(embedding_word_dropout=p)
