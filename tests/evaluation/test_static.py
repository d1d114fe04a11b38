"""`method=static`: every token once, in the units that tokenizers share."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from evaluation_models import Bigrams, Planned, evaluated, lstm, rounding_of, subject
from torch.nn.functional import cross_entropy

from lstm_lm.errors import UserError
from lstm_lm.evaluation.methods.interface import Windows
from lstm_lm.tokenizers import Tokenizer, tokenizer_class
from lstm_lm.tokenizers.interface import FitText

IDS = np.random.default_rng(0).integers(0, 6, 2000)
TEXT = "Ein Mädchen sah die blaue Tür – und ging, 1, 2, 3, hindurch.\n" * 40


class Whole(FitText):
    def training(self) -> Any:
        yield TEXT

    def everything(self) -> Any:
        yield TEXT


def test_the_loss_is_the_mean_over_all_tokens_from_one_state_on() -> None:
    model = lstm(6)
    with torch.no_grad():
        ids = torch.from_numpy(IDS).unsqueeze(1)
        logits, _ = model(ids[:-1], model.initial_state(1))
        expected = cross_entropy(logits.flatten(0, 1), ids[1:].flatten()).item()
    one = evaluated(subject(model, {"validation": IDS}, windows=Windows(1, 16, 0)), "static")
    assert one["splits"]["validation"]["loss"] == pytest.approx(expected, rel=0, abs=rounding_of(expected, model))
    assert one["splits"]["validation"]["tokens"] == 1999
    side_by_side = evaluated(subject(model, {"validation": IDS}, windows=Windows(7, 16, 100)), "static")
    assert side_by_side["splits"]["validation"]["loss"] == pytest.approx(expected, abs=1e-5)
    assert side_by_side["splits"]["validation"]["windows"]["batch_size"] == 7


def test_blocks_follow_the_text_whatever_the_streams() -> None:
    """The first half is easy, the second hard: so must be the blocks."""
    matrix = torch.zeros(4, 4)
    matrix[0, 0] = 5.0
    ids = np.concatenate([np.zeros(1000, dtype=np.int64), np.random.default_rng(1).integers(1, 4, 1001)])
    scores = evaluated(subject(Bigrams(matrix), {"test": ids}, windows=Windows(3, 17, 5)), "static", blocks=20)
    losses = scores["splits"]["test"]["blocks"]["losses"]
    assert len(losses) == 20
    assert all(loss < 0.1 for loss in losses[:10])
    assert all(loss == pytest.approx(math.log(4), abs=0.15) for loss in losses[10:])


@pytest.mark.parametrize("name", ["char", "byte", "bpe"])
def test_bits_per_byte_of_a_model_that_knows_nothing_are_those_of_its_tokens_alone(name: str) -> None:
    """All weights zero: every token costs log2(V) bits, and a byte as many as there are tokens in it."""
    kind = tokenizer_class(name)
    keys = {"name": name, **({"vocabulary_size": 290, "min_frequency": 2} if name == "bpe" else {})}
    tokenizer: Tokenizer = kind.fit(_options(kind, keys), Whole())
    ids = tokenizer.encode(TEXT).ids
    model = Planned(tokenizer.vocabulary_size)
    scores = evaluated(subject(model, {"validation": ids}, tokenizer=tokenizer), "static")["splits"]["validation"]
    text_bytes = len(TEXT.encode()) - len(tokenizer.token_bytes(int(ids[0])))
    assert scores["bits_per_byte"] == pytest.approx(math.log2(tokenizer.vocabulary_size) * (len(ids) - 1) / text_bytes)
    assert scores["perplexity"] == pytest.approx(tokenizer.vocabulary_size)


def test_bits_per_byte_are_equal_across_tokenizers_for_a_model_that_is_uniform_over_bytes() -> None:
    """A token of n bytes gets the probability 256^-n: 8 bits a byte, whatever the tokens are."""
    found = {}
    for name in ("char", "byte", "bpe"):
        kind = tokenizer_class(name)
        keys = {"name": name, **({"vocabulary_size": 290, "min_frequency": 2} if name == "bpe" else {})}
        tokenizer: Tokenizer = kind.fit(_options(kind, keys), Whole())
        model = Planned(tokenizer.vocabulary_size)
        sizes = torch.tensor([len(tokenizer.token_bytes(token)) for token in range(tokenizer.vocabulary_size)])
        with torch.no_grad():
            model.bias.copy_(-sizes * math.log(256))
            left = 1 - model.bias.exp().sum().item()  # what no token has; softmax gives it to all alike
        ids = tokenizer.encode(TEXT).ids
        scores = evaluated(subject(model, {"test": ids}, tokenizer=tokenizer), "static")["splits"]["test"]
        missing = math.log2(1 - left) * scores["tokens"]  # bits, over the whole text
        text_bytes = len(TEXT.encode()) - len(tokenizer.token_bytes(int(ids[0])))
        found[name] = scores["bits_per_byte"] - missing / text_bytes
    assert found == pytest.approx(dict.fromkeys(found, 8.0), abs=1e-4)


def _options(kind: type[Tokenizer], keys: dict[str, Any]) -> Any:
    known = kind.OptionsType.model_fields
    return kind.OptionsType.parse({key: value for key, value in keys.items() if key in known}, "tokenizer")


def test_replaced_text_has_no_bits_but_a_reason() -> None:
    scores = evaluated(subject(lstm(6), {"test": IDS}, replaced=3), "static")["splits"]["test"]
    assert scores["bits_per_byte"] is None
    assert "3" in scores["bits_per_byte_reason"]


def test_as_many_windows_as_are_asked_for_of_the_shape_that_is_asked_for() -> None:
    figures = evaluated(
        subject(lstm(6), {"train": IDS, "validation": IDS}),
        "static",
        splits=["train"],
        batch_size=4,
        seq_len=10,
        context=0,
        limit_windows=5,
        warmup_windows=2,
    )
    assert list(figures["splits"]) == ["train"]
    scores = figures["splits"]["train"]
    assert scores["windows"] == {"scored": 5, "of": 50, "batch_size": 4, "seq_len": 10}
    assert scores["tokens"] == 5 * 4 * 10
    assert scores["speed"]["windows"] == 3
    assert scores["speed"]["tokens_per_second"] == pytest.approx(40 / scores["speed"]["window_ms"] * 1000)


def test_too_few_windows_have_no_speed() -> None:
    scores = evaluated(subject(lstm(6), {"test": IDS}), "static", limit_windows=3, warmup_windows=3)
    assert scores["splits"]["test"]["speed"] is None


def test_a_split_that_is_not_there_is_refused() -> None:
    with pytest.raises(UserError, match=r"no test split\nchoose from: validation"):
        evaluated(subject(lstm(6), {"validation": IDS}), "static", splits=["test"])
