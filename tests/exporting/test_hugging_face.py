"""Hugging Face's library reads `tokenizer.json`, and gives the ids that the project's tokenizers give."""

from functools import cache

import pytest
import tokenizers
from drawn_models import TEXT, fitted
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lstm_lm import registry
from lstm_lm.exporting.hugging_face import tokenizer_json
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.byte import ByteTokenizer
from lstm_lm.tokenizers.interface import ROW_END
from lstm_lm.tokenizers.whitespace import WhitespaceTokenizer

NAMES = registry.names("lstm_lm.tokenizers")
KNOWN = st.characters(exclude_categories=["Cs", "Cn"])  # Python and the library may know different Unicodes
PARTS = [
    "cat",
    " cat",
    "the ",
    "<unk>",
    " ",
    "  ",
    "\n",
    "\r\n",
    "\x1c",
    "\x85",
    "\u3000",
    "é",
    "e\u0301",
    "²",
    "_",
    ".",
    ROW_END,
]
TEXTS = st.one_of(
    st.text(KNOWN, max_size=60),
    st.lists(st.one_of(st.sampled_from(PARTS), st.sampled_from(TEXT)), max_size=60).map("".join),
)


@cache
def both(name: str) -> tuple[Tokenizer, tokenizers.Tokenizer]:
    ours = fitted(name)
    text = tokenizer_json(ours)
    assert text is not None
    return ours, tokenizers.Tokenizer.from_str(text)


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXTS)
@example(text=TEXT)
@example(text=f"the cat.{ROW_END}the .{ROW_END}")
@settings(deadline=None, database=None)
def test_any_text_has_the_same_ids(name: str, text: str) -> None:
    ours, theirs = both(name)
    assert theirs.encode(text).ids == ours.encode(text, unknown="replace").ids.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_the_text_again(name: str) -> None:
    ours, theirs = both(name)
    assert theirs.get_vocab_size() == ours.vocabulary_size
    assert theirs.decode(ours.encode(TEXT, unknown="replace").ids.tolist()) == TEXT


def test_a_word_may_be_what_unknown_words_are_called() -> None:
    ours = WhitespaceTokenizer(["<unk>", " cat"])
    text = tokenizer_json(ours)
    assert text is not None
    assert tokenizers.Tokenizer.from_str(text).encode("<unk> dog cat").ids == [1, 0, 2]


def test_another_packages_tokenizer_has_no_such_form() -> None:
    class Another(ByteTokenizer):
        pass

    assert tokenizer_json(Another()) is None
