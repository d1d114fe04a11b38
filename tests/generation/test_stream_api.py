"""`lstm_lm.stream`: what `generate` writes, as it is written."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from generation_models import Scripted, char_tokenizer, lstm, lstm_section

import lstm_lm
from lstm_lm.errors import UserError
from lstm_lm.generation.api import generate, stream
from lstm_lm.models.interface import LanguageModel
from lstm_lm.models.loading import Loaded
from lstm_lm.tokenizers import Tokenizer, tokenizer_class
from lstm_lm.tokenizers.byte import ByteTokenizer

LETTERS = char_tokenizer()


def loaded(tokenizer: Tokenizer, data: dict[str, Any] | None = None, model: LanguageModel | None = None) -> Loaded:
    made = Loaded(model or lstm(tokenizer.vocabulary_size), tokenizer)
    made.config, made.training_units, made.autocast = {"model": lstm_section(), "data": data or {}}, None, None
    made.checkpoint = Path("best.ckpt")
    return made


class Text:
    def training(self) -> Any:
        yield "the cat sat ć☃ and the cat sat on the mat ć☃\n" * 20

    everything = training


def bpe() -> Tokenizer:
    kind = tokenizer_class("bpe")
    section = {"name": "bpe", "vocabulary_size": 290, "min_frequency": 2}
    return kind.fit(kind.OptionsType.parse(section, "tokenizer"), Text())


@pytest.mark.parametrize("make", [lambda: LETTERS, ByteTokenizer, bpe], ids=["char", "byte", "bpe"])
@pytest.mark.parametrize("settings", [{"temperature": 0}, {"seed": 3, "top_p": 0.9}, {"seed": 4, "stop": ["e", "ab"]}])
def test_its_pieces_are_the_text_of_generate(make: Callable[[], Tokenizer], settings: dict[str, Any]) -> None:
    run = loaded(make())
    pieces = list(stream(run, "ab", max_new_tokens=60, **settings))
    assert "".join(pieces) == generate(run, "ab", max_new_tokens=60, **settings)
    assert pieces[0] == "ab"
    assert all(pieces)
    assert len(pieces) > 2


def test_a_piece_never_ends_in_the_middle_of_a_character() -> None:
    made = loaded(ByteTokenizer(), model=Scripted(list("ć☃".encode()), 256))
    assert list(stream(made, "x", max_new_tokens=10, temperature=0)) == ["x", "ć", "☃", "ć", "☃"]
    assert list(stream(made, "x", max_new_tokens=4, temperature=0)) == ["x", "ć", "\ufffd"], (
        "what was begun, at the end"
    )


def test_of_a_run_of_lines_it_writes_one() -> None:
    run = loaded(LETTERS, {"unit": "line"})
    text = "".join(stream(run, "ab", max_new_tokens=200, seed=1))
    assert text == generate(run, "ab", max_new_tokens=200, seed=1)
    assert "\n" not in text
    assert "".join(stream(run, "ab\n", max_new_tokens=200, seed=1)) == text
    with pytest.raises(UserError, match="the beginning of one"):
        stream(run, "ab\nc")


def test_what_is_wrong_is_said_before_the_first_piece() -> None:
    with pytest.raises(UserError, match=r"stream\.temperature=-1"):
        stream(loaded(LETTERS), "ab", temperature=-1)
    with pytest.raises(UserError, match="does not know 'X'"):
        stream(loaded(LETTERS), "X")
    assert next(stream(loaded(LETTERS), "aXb", unknown="skip")) == "aXb"


def test_it_can_be_left_at_any_place_and_takes_what_generate_takes() -> None:
    pieces = stream(loaded(LETTERS), max_new_tokens=10**9)
    assert len([next(pieces) for _ in range(20)]) == 20
    taken = {name: one.default for name, one in inspect.signature(stream).parameters.items()}
    of_generate = {name: one.default for name, one in inspect.signature(generate).parameters.items()}
    assert taken == {name: default for name, default in of_generate.items() if name in taken}
    assert of_generate.keys() - taken.keys() == {"num_samples", "only_new"}


def test_the_package_has_it() -> None:
    assert {"embed", "stream"} <= set(dir(lstm_lm))
    assert lstm_lm.stream is stream
