"""`method=sampling`: the text is the one that `generate` writes, and its time is counted part by part."""

import pytest
import torch
from evaluation_models import evaluated, letters, lstm, subject

from lstm_lm.errors import UserError
from lstm_lm.generation.text import sample_text

TEXT = {"validation": [0, 1, 2, 3]}


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_it_writes_what_generate_writes(temperature: float) -> None:
    model = lstm(6)
    figures = evaluated(
        subject(model, TEXT), "sampling", prompt="0123", max_new_tokens=41, temperature=temperature, seed=7
    )
    expected = sample_text(model, letters(6), "0123", max_new_tokens=41, temperature=temperature, seed=7)
    assert figures["text"] == expected
    assert figures["prompt_tokens"] == 4


def test_the_parts_are_all_of_the_text_and_their_time_is_its_time() -> None:
    figures = evaluated(subject(lstm(6), TEXT), "sampling", prompt="0", max_new_tokens=47)
    ends, each = figures["parts"]["ends"], figures["parts"]["token_ms"]
    assert ends[-1] == figures["tokens"] == 47
    sizes = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    seconds = sum(size * ms for size, ms in zip(sizes, each, strict=True)) / 1000
    assert seconds * figures["tokens_per_second"] == pytest.approx(47)
    assert figures["token_ms"] * figures["tokens_per_second"] == pytest.approx(1000)


def test_a_prompt_that_the_tokenizer_does_not_know_gives_a_speed_and_no_sample() -> None:
    figures = evaluated(subject(lstm(6), TEXT), "sampling", prompt="01x", max_new_tokens=20)
    assert figures["text"] is None
    assert "x" in figures["text_reason"]
    assert figures["tokens_per_second"] > 0


def test_fewer_tokens_than_parts_are_refused() -> None:
    with pytest.raises(UserError, match=r"method\.max_new_tokens=5"):
        evaluated(subject(lstm(6), TEXT), "sampling", max_new_tokens=5)


def test_the_models_state_and_torchs_generator_stay() -> None:
    model = lstm(6)
    before = torch.random.get_rng_state()
    evaluated(subject(model, TEXT), "sampling", prompt="0", max_new_tokens=20)
    assert torch.equal(torch.random.get_rng_state(), before)
