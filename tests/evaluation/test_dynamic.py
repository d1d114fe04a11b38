"""Dynamic evaluation: a case by hand, nothing learnt before it is scored, and the model as it was."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_models import Bigrams, evaluated, lstm, rounding_of, subject
from torch import Tensor

from lstm_lm.data.streams import EvalWindows
from lstm_lm.errors import UserError
from lstm_lm.evaluation.adaptation import Adapter, gradient_rms, restoring, score_and_learn
from lstm_lm.evaluation.methods.interface import Subject, Windows
from lstm_lm.evaluation.token_losses import BlockSums

SETTING = {"step_sizes": [0.1], "decays": [0.0]}


def dynamic(subject: Subject, **changes: Any) -> dict[str, Any]:
    small = {"segment_length": 8, "statistics_segments": 20, "tuning_tokens": 200, **SETTING}
    return evaluated(subject, "dynamic", **{**small, **changes})


def test_two_segments_by_hand() -> None:
    """One matrix [2, 2] of zeros, the text 0 0 1 in segments of one prediction: 0 -> 0, then 0 -> 1.

    First segment: p = 1/2, loss ln 2, gradient of row 0 (-1/2, 1/2). With RMS 1/4 everywhere, a step of 0.1 and an
    epsilon of 0.6 * 1/4 = 0.15 the row becomes (0.125, -0.125). Second: p(1) = 1 / (1 + e^0.25).
    """
    model = Bigrams(torch.zeros(2, 2))
    rms = [torch.full((2, 2), 0.25)]
    adapter = Adapter([model.matrix], rms, step_size=0.1, decay=0.1, epsilon=0.6)
    text = subject(model, {"test": np.array([0, 0, 1])})
    windows = EvalWindows(text.tokens["test"], 1, 1, context=0)
    sums = BlockSums(2, 2, 2)
    score_and_learn(text, windows, sums, adapter, "")
    assert sums.nats.tolist() == pytest.approx([math.log(2), math.log(1 + math.exp(0.25))])
    p = 1 / (1 + math.exp(-0.25))
    # the second step: a tenth of the way back to zero (decay 0.1 * RMS / mean RMS), less the scaled gradient (p, -p)
    row = [0.9 * 0.125 - 0.1 / 0.4 * p, -0.9 * 0.125 + 0.1 / 0.4 * p]
    assert model.matrix[0].tolist() == pytest.approx(row)
    assert model.matrix[1].tolist() == [0.0, 0.0]


def test_decay_goes_by_the_gradients_size_and_never_beyond_the_trained_weights() -> None:
    weights = torch.nn.Parameter(torch.zeros(3))
    adapter = Adapter([weights], [torch.tensor([0.1, 0.2, 0.9])], step_size=1.0, decay=0.5, epsilon=1.0)
    with torch.no_grad():
        weights.fill_(1.0)
    adapter.learn(weights.sum() * 0.0)
    assert weights.tolist() == pytest.approx([1 - 0.125, 1 - 0.25, 0.0])


def test_the_usual_gradient_is_the_root_mean_square_over_training_segments() -> None:
    """Bigrams' segments have no memory: the gradient of each is a count of what it holds."""
    matrix = torch.zeros(2, 2)
    text = subject(Bigrams(matrix), {"train": np.array([0, 0, 1, 0, 0, 1, 0, 0, 1])})
    [rms] = gradient_rms(text, text.tokens["train"], 4, 1, 2, 0)

    def gradient(pairs: list[tuple[int, int]]) -> Tensor:
        total = torch.zeros(2, 2)
        for before, after in pairs:
            total[before] += 0.5
            total[before, after] -= 1.0
        return total / len(pairs)

    first = gradient([(0, 0), (0, 1), (1, 0), (0, 0)])
    second = gradient([(0, 1), (1, 0), (0, 0), (0, 1)])
    assert torch.allclose(rms, ((first**2 + second**2) / 2).sqrt())


def shifted(count: int = 4000) -> dict[str, Any]:
    """Training text where each token is followed by the next one; validation text where by the one before it."""
    chance = np.random.default_rng(3)
    noise = chance.random(count) < 0.1
    steps = np.where(noise, chance.integers(0, 6, count), 1)
    return {"train": np.cumsum(steps) % 6, "validation": np.cumsum(np.where(noise, steps, 5)) % 6}


def trained_bigrams(ids: Any) -> Bigrams:
    counts = torch.ones(6, 6)
    counts.index_put_(
        (torch.from_numpy(ids[:-1]), torch.from_numpy(ids[1:])), torch.ones(len(ids) - 1), accumulate=True
    )
    return Bigrams((counts / counts.sum(1, keepdim=True)).log())


def test_each_part_of_the_work_is_told_to_its_end() -> None:
    """Else the line that shows how far it is stays on the terminal."""
    ids, told = shifted(600), dict[str, list[tuple[int, int]]]()
    text = replace(
        subject(trained_bigrams(ids["train"]), ids),
        report=lambda what, done, of: told.setdefault(what, []).append((done, of)),
    )
    dynamic(text)
    assert len(told) >= 3, "choosing, scoring, and the model as it is"
    for what, counts in told.items():
        assert all(before < after for (before, _), (after, _) in itertools.pairwise(counts)), what
        assert counts[-1][0] == counts[-1][1], what


def test_it_gains_where_the_text_has_changed_and_not_where_it_has_not() -> None:
    texts = shifted()
    model = trained_bigrams(texts["train"])
    changed = dynamic(subject(model, texts))
    assert changed["gain"] > 0.5
    assert changed["gain_interval"][0] > 0
    losses = dynamic(subject(model, texts), step_sizes=[0.01])["blocks"]["losses"]
    assert np.mean(losses[-10:]) < np.mean(losses[:3]), "it goes on learning"
    same = dynamic(subject(model, {"train": texts["train"][:2000], "validation": texts["train"][2000:]}))
    assert abs(same["gain"]) < 0.1


def test_no_token_is_learnt_from_before_it_is_scored() -> None:
    """What comes after a segment cannot change its loss."""
    model, ids = lstm(6), np.random.default_rng(4).integers(0, 6, 900)
    other = ids.copy()
    other[600:] = 0
    one, two = (dynamic(subject(model, {"train": ids, "validation": text}), blocks=18) for text in (ids, other))
    assert one["blocks"]["losses"][:11] == two["blocks"]["losses"][:11]
    assert one["blocks"]["losses"][13:] != two["blocks"]["losses"][13:]


def test_the_first_segment_is_scored_as_the_model_is() -> None:
    model, ids = lstm(6), np.random.default_rng(5).integers(0, 6, 300)
    text = subject(model, {"train": ids, "validation": ids[:60]}, windows=Windows(1, 16, 0))
    figures = dynamic(text, segment_length=100, tuning_tokens=2)
    assert figures["gain"] == pytest.approx(0, abs=rounding_of(figures["static_loss"], model))


@pytest.mark.parametrize("forward", ["fused", "stepwise", "wavefront", "pipelined"])
def test_the_model_is_afterwards_what_it_was(forward: str) -> None:
    model = lstm(6, hidden_size=4)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    ids = np.random.default_rng(6).integers(0, 6, 500)
    figures = dynamic(subject(model, {"train": ids, "validation": ids}, forward=forward), step_sizes=[0.1, 0.2])
    assert figures["gain"] != 0, "it did learn"
    model.close()
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_an_interrupted_one_leaves_the_model_as_it_was() -> None:
    model = Bigrams(torch.zeros(2, 2))
    adapter = Adapter([model.matrix], [torch.ones(2, 2)], step_size=0.1, decay=0.0, epsilon=0.1)
    with pytest.raises(RuntimeError, match="does not require grad"), restoring(model):  # noqa: PT012
        adapter.learn(model.matrix.sum())
        assert model.matrix.abs().max() > 0
        adapter.learn(torch.zeros(()))
    assert model.matrix.abs().max() == 0


def test_step_size_and_decay_are_chosen_on_text_that_is_not_scored() -> None:
    texts = shifted()
    model = trained_bigrams(texts["train"])
    grid = {"step_sizes": [1e-6, 0.1], "decays": [0.0, 0.5]}
    by_training = dynamic(subject(model, texts), **grid)
    assert by_training["split"] == "validation"
    assert by_training["chosen_on"]["text"] == "train, its end"
    tried = by_training["chosen_on"]["grid"]
    assert len(tried) == 5
    assert tried[0]["step_size"] == 0
    best = min(tried[1:], key=lambda one: one["loss"])
    assert (by_training["step_size"], by_training["decay"]) == (best["step_size"], best["decay"])
    with_test = {**texts, "test": texts["validation"].copy()}
    by_validation = dynamic(subject(model, with_test), **grid)
    assert by_validation["split"] == "test"
    assert by_validation["chosen_on"]["text"] == "validation, its start"
    assert (by_validation["step_size"], by_validation["decay"]) == (0.1, 0.0)


def test_several_streams_score_every_token_once_and_say_so() -> None:
    texts = shifted()
    model = trained_bigrams(texts["train"])
    figures = dynamic(subject(model, texts), streams=4)
    assert figures["tokens"] == len(texts["validation"]) - 1
    assert figures["order"] == "4 streams side by side"
    assert figures["gain"] > 0.2


def test_what_cannot_be_done_is_refused() -> None:
    texts = shifted(300)
    model = trained_bigrams(texts["train"])
    with pytest.raises(UserError, match=r"method\.split=test"):
        dynamic(subject(model, texts), split="test")
    with pytest.raises(UserError, match="only 149 tokens to learn from"):
        dynamic(subject(model, texts), segment_length=200)
    narrow = replace(subject(model, texts), dtype=torch.bfloat16)
    with pytest.raises(UserError, match="lost in 16 bits"):
        dynamic(narrow)
