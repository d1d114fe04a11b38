from collections.abc import Iterator

import pytest
import torch
from generation_models import Scripted, char_tokenizer, lstm
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.errors import UserError
from lstm_lm.generation.text import TextSession, sample_text, sample_texts, stream_text
from lstm_lm.tokenizers.byte import ByteTokenizer

TOKENIZER = char_tokenizer()
MODEL = lstm(TOKENIZER.vocabulary_size)
PRECISE = lstm(TOKENIZER.vocabulary_size).double()


def dictated(text: str) -> Scripted:
    """A model that writes the UTF-8 bytes of `text`, over and over."""
    return Scripted(list(text.encode()), 256)


def test_the_streamed_pieces_joined_are_the_text() -> None:
    pieces = list(stream_text(MODEL, TOKENIZER, "abc", max_new_tokens=80, seed=1))
    assert len(pieces) == 80
    assert "".join(pieces) == sample_text(MODEL, TOKENIZER, "abc", max_new_tokens=80, seed=1)


def test_the_same_seed_gives_the_same_text() -> None:
    def text(seed: int | None) -> str:
        return sample_text(MODEL, TOKENIZER, "a", max_new_tokens=60, seed=seed)

    assert text(3) == text(3)
    assert text(3) != text(4)
    assert text(None) != text(None)


def test_several_samples_come_from_one_batch_and_one_alone_is_the_single_text() -> None:
    texts = sample_texts(MODEL, TOKENIZER, "a", num_samples=4, max_new_tokens=40, seed=1)
    assert len(set(texts)) == 4
    assert {len(text) for text in texts} == {40}
    alone = sample_texts(MODEL, TOKENIZER, "a", num_samples=1, max_new_tokens=40, seed=1)
    assert alone == [sample_text(MODEL, TOKENIZER, "a", max_new_tokens=40, seed=1)]


def test_the_settings_reach_the_sampler() -> None:
    greedy = sample_text(MODEL, TOKENIZER, "a", max_new_tokens=40, temperature=0.0)
    assert sample_text(MODEL, TOKENIZER, "a", max_new_tokens=40, top_k=1) == greedy
    assert sample_text(MODEL, TOKENIZER, "a", max_new_tokens=40, top_p=1e-6) == greedy
    assert sample_text(MODEL, TOKENIZER, "a", max_new_tokens=40, min_p=1.0) == greedy
    assert sample_text(MODEL, TOKENIZER, "a", max_new_tokens=40, temperature=50.0) != greedy


def test_nothing_new_is_no_text() -> None:
    assert sample_text(MODEL, TOKENIZER, "abc", max_new_tokens=0) == ""
    assert sample_texts(MODEL, TOKENIZER, "abc", num_samples=2, max_new_tokens=0) == ["", ""]


def test_an_empty_prompt_is_read_as_a_newline_that_is_no_part_of_the_text() -> None:
    assert sample_text(MODEL, TOKENIZER, "", max_new_tokens=40, seed=1) == sample_text(
        MODEL, TOKENIZER, "\n", max_new_tokens=40, seed=1
    )


def test_an_empty_prompt_without_a_newline_in_the_vocabulary_is_read_as_the_first_token() -> None:
    tokenizer = char_tokenizer("abc")
    model = lstm(3)
    assert sample_text(model, tokenizer, max_new_tokens=40, seed=1) == sample_text(
        model, tokenizer, "a", max_new_tokens=40, seed=1
    )


SENTENCE = "naïve 漢字 👩‍🚀 \u202eעברית end."


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), st.integers(0, 40))
def test_characters_of_several_tokens_come_whole(text: str, extra: int) -> None:
    count = len(text.encode()) + extra
    pieces = list(stream_text(dictated(text), ByteTokenizer(), "x", max_new_tokens=count, temperature=0.0))
    whole = (text.encode() * (extra + 1))[:count].decode(errors="replace")
    assert "".join(pieces) == whole
    assert all(pieces), "no piece is empty"


def test_a_character_cut_off_at_the_end_is_shown_as_missing() -> None:
    pieces = stream_text(dictated("é"), ByteTokenizer(), "x", max_new_tokens=3, temperature=0.0)
    assert list(pieces) == ["é", "\N{REPLACEMENT CHARACTER}"]


@pytest.mark.parametrize("stop", ["👩", " 漢字", "end.", "n", "字 👩‍🚀 \u202e"])
def test_the_text_ends_before_a_stop_string_that_several_tokens_make_up(stop: str) -> None:
    expected = SENTENCE[: SENTENCE.index(stop)]
    arguments = {"max_new_tokens": 500, "temperature": 0.0, "stop": stop}
    model = dictated(SENTENCE)
    assert "".join(stream_text(model, ByteTokenizer(), "x", **arguments)) == expected  # type: ignore[arg-type]
    assert sample_texts(model, ByteTokenizer(), "x", num_samples=2, **arguments) == [expected] * 2  # type: ignore[arg-type]


def test_the_first_of_several_stop_strings_counts() -> None:
    text = sample_text(
        dictated("one, two. "), ByteTokenizer(), "x", max_new_tokens=50, temperature=0.0, stop=[".", ","]
    )
    assert text == "one"


def test_a_stop_string_that_was_only_begun_is_given_at_the_end() -> None:
    model = dictated("abcdef")
    pieces = list(stream_text(model, ByteTokenizer(), "x", max_new_tokens=5, temperature=0.0, stop="cdefg"))
    assert pieces == ["a", "b", "cde"]


def test_samples_stop_each_on_its_own() -> None:
    texts = sample_texts(MODEL, TOKENIZER, "a", num_samples=8, max_new_tokens=60, seed=1, stop="h")
    whole = sample_texts(MODEL, TOKENIZER, "a", num_samples=8, max_new_tokens=60, seed=1)
    assert texts == [text.split("h")[0] for text in whole]
    assert len({len(text) for text in texts}) > 1


def test_a_batch_ends_when_every_sample_has_stopped() -> None:
    model = dictated("ab.")
    calls: list[int] = []
    model.register_forward_hook(lambda module, inputs, output: calls.append(1))
    sample_texts(model, ByteTokenizer(), "x", num_samples=3, max_new_tokens=1000, temperature=0.0, stop=".")
    assert len(calls) == 3


def test_unknown_characters_of_the_prompt_are_refused_at_once_skipped_or_replaced() -> None:
    with pytest.raises(UserError, match=r"prompt: .*'Z'"):
        stream_text(MODEL, TOKENIZER, "aZb", max_new_tokens=5)

    def text(prompt: str, **unknown: str) -> str:
        return sample_text(MODEL, TOKENIZER, prompt, max_new_tokens=30, seed=1, **unknown)  # type: ignore[arg-type]

    assert text("aZb", unknown="skip") == text("ab")
    assert text("ZZ", unknown="skip") == text("")
    assert text("aZb", unknown="replace") == text("a b")


def test_half_a_character_in_the_prompt_is_refused() -> None:
    with pytest.raises(UserError, match=r"prompt: .*U\+D83D, a lone surrogate") as refusal:
        sample_text(MODEL, TOKENIZER, "ab\ud83d", max_new_tokens=5)
    assert len(str(refusal.value).splitlines()) <= 4


def turn(session: TextSession, prompt: str, count: int) -> str:
    return "".join(session.write(prompt, max_new_tokens=count))


def test_prompts_without_answers_are_one_long_prompt() -> None:
    session = TextSession(PRECISE, TOKENIZER, seed=1)
    assert turn(session, "abc", 0) == ""
    assert turn(session, "", 0) == ""
    assert turn(session, "de\n", 40) == sample_text(PRECISE, TOKENIZER, "abcde\n", max_new_tokens=40, seed=1)


def test_a_session_remembers_what_it_wrote() -> None:
    session = TextSession(PRECISE, TOKENIZER, temperature=0.0)
    first = turn(session, "abc", 10)
    second = turn(session, "gh", 10)
    assert second == sample_text(PRECISE, TOKENIZER, "abc" + first + "gh", max_new_tokens=10, temperature=0.0)


def test_a_session_without_a_new_prompt_goes_on_writing() -> None:
    session = TextSession(MODEL, TOKENIZER, seed=1)
    text = turn(session, "abc", 30) + turn(session, "", 50)
    assert text == sample_text(MODEL, TOKENIZER, "abc", max_new_tokens=80, seed=1)


def test_a_turn_that_is_broken_off_can_be_gone_on_with() -> None:
    def some(pieces: Iterator[str], count: int) -> str:
        return "".join(piece for _, piece in zip(range(count), pieces, strict=False))

    session = TextSession(MODEL, TOKENIZER, seed=1)
    text = some(session.write("abc", max_new_tokens=100), 7)
    assert text + turn(session, "", 20) == sample_text(MODEL, TOKENIZER, "abc", max_new_tokens=27, seed=1)


def test_a_refused_prompt_leaves_the_session_as_it_was() -> None:
    session = TextSession(MODEL, TOKENIZER, seed=1)
    turn(session, "abc", 0)
    with pytest.raises(UserError):
        session.write("Z", max_new_tokens=5)
    assert turn(session, "", 30) == sample_text(MODEL, TOKENIZER, "abc", max_new_tokens=30, seed=1)


def test_each_turn_ends_at_a_stop_string_of_its_own() -> None:
    session = TextSession(dictated("yes.no."), ByteTokenizer(), temperature=0.0, stop=".")
    assert turn(session, "", 50) == "yes"
    assert turn(session, "", 50) == "no"


def test_sampling_in_mid_training_leaves_everything_as_it_was() -> None:
    model = lstm(TOKENIZER.vocabulary_size, dropout=0.3).train()
    model(torch.zeros(2, 1, dtype=torch.int64), model.initial_state(1))
    generators = torch.get_rng_state(), model.masks.state()["bits"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        text = sample_text(model, TOKENIZER, prompt="ab", max_new_tokens=20, temperature=0.8, seed=1)
    assert len(text) == 20
    assert model.training
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert torch.equal(model.masks.state()["bits"], generators[1])
    assert all(not parameter.is_inference() and parameter.requires_grad for parameter in model.parameters())
