"""Streams in one batch: each writes what it writes alone, whoever comes and goes beside it."""

from typing import Any

import pytest
import torch
from generation_models import FixedLogits, Scripted, lstm
from omegaconf import OmegaConf

from lstm_lm.cli.hydra.conf import conf_dir
from lstm_lm.errors import RunError
from lstm_lm.generation.filters import Sampling
from lstm_lm.generation.sampler import TokenStream
from lstm_lm.generation.side_by_side import SideBySide
from lstm_lm.models.build import build_model
from lstm_lm.models.interface import LanguageModel

V = 9
SAMPLINGS = [Sampling(0.0), Sampling(0.7), Sampling(1.3, top_k=5), Sampling(1.0, top_p=0.8), Sampling(0.9, min_p=0.1)]


def backbone(name: str) -> LanguageModel:
    small: dict[str, Any] = {"embedding_size": 8, "hidden_size": 8, "num_layers": 2}
    more: dict[str, Any] = {"transformer": {"num_heads": 2, "context_size": 6}, "ffn": {"context_size": 3}}
    file = OmegaConf.load(conf_dir() / "model" / f"{name}.yaml")
    section: Any = OmegaConf.to_container(OmegaConf.merge(file, small, more.get(name, {})), resolve=True)
    section.pop("defaults", None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = build_model(section, V).eval().double()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.5 * torch.randn_like(parameter))
    return model


def fed(model: LanguageModel, seed: int, *, texts: int = 1) -> TokenStream:
    made = TokenStream(model, SAMPLINGS[seed % len(SAMPLINGS)], num_samples=texts, seed=seed)
    made.feed(torch.arange(1, 2 + seed) % V)
    return made


def alone(model: LanguageModel, seed: int, tokens: int, *, texts: int = 1) -> list[list[int]]:
    made = fed(model, seed, texts=texts)
    return [next(made).tolist() for _ in range(tokens)]


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn", "ffn", "transformer"])
def test_each_writes_what_it_writes_alone_whoever_comes_and_goes(name: str) -> None:
    model = backbone(name)
    batch = SideBySide(model)
    texts = {seed: 1 + seed % 3 for seed in range(7)}
    streams = {seed: fed(model, seed, texts=texts[seed]) for seed in texts}
    written: dict[int, list[list[int]]] = {seed: [] for seed in texts}
    comes, goes = {0: [0], 2: [1, 2], 3: [3], 9: [4, 5], 20: [6]}, {8: [1], 12: [0, 4], 25: [2, 3, 5]}
    for step in range(40):
        batch.join(*(streams[seed] for seed in comes.get(step, [])))
        batch.leave(*(streams[seed] for seed in goes.get(step, [])))
        there = [next(seed for seed in streams if streams[seed] is one) for one in batch.streams]
        for seed, drawn in zip(there, batch.step(), strict=True):
            assert isinstance(drawn, list)
            written[seed].append(drawn)
    assert [len(written[seed]) for seed in texts] == [12, 6, 23, 22, 3, 16, 20]
    for seed, own in written.items():
        assert own == alone(model, seed, len(own), texts=texts[seed])


def test_nobody_there_is_nothing_to_do() -> None:
    model = lstm(V)
    batch = SideBySide(model)
    assert batch.step() == []
    one = fed(model, 1)
    batch.join(one)
    batch.leave(one)
    assert batch.step() == []
    batch.join(fed(model, 2))
    assert len(batch.step()) == 1


def test_weights_that_have_diverged_are_each_streams_own_error() -> None:
    model = FixedLogits([0.0, float("nan")])
    batch = SideBySide(model)
    batch.join(*(fed(Scripted([1], 2), 1) for _ in range(2)))
    assert [type(drawn) for drawn in batch.step()] == [RunError, RunError]


def test_a_stream_that_has_read_nothing_cannot_be_read_on() -> None:
    model = lstm(V)
    with pytest.raises(ValueError, match="fed"):
        SideBySide(model).join(TokenStream(model, Sampling()))


def test_a_long_prompt_can_be_read_window_by_window() -> None:
    model = lstm(V)
    whole, parts = (TokenStream(model, Sampling(), seed=1) for _ in range(2))
    ids = torch.arange(2500) % V
    whole.feed(ids)
    read = list(parts.feeding(ids))
    assert len(read) == 3
    assert sum(read) == 2502, "the last token of a window is read with the next one"
    assert [int(next(whole)) for _ in range(20)] == [int(next(parts)) for _ in range(20)]
