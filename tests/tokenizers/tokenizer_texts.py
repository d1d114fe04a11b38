"""Texts to try tokenizers on, and the options to fit them with."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf" / "tokenizer"


class Corpus:
    """A text with splits, in pieces: what a tokenizer is fitted on."""

    def __init__(self, training: list[str], others: list[str]) -> None:
        self._training, self._others = training, others

    def training(self) -> Iterator[str]:
        return iter(self._training)

    def everything(self) -> Iterator[str]:
        return iter([*self._training, *self._others])


def options_in_conf(name: str) -> dict[str, Any]:
    options = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    assert isinstance(options, dict)
    return options


ODD = [
    *" \n\t\r\x0b\x0c\x00\x07\x1b\x1c\x1f\x7f\x85\xa0",  # blanks and controls
    *"\u1680\u2003\u2028\u2029\u202f\u3000\u200b\ufeff",  # blanks of other scripts, and what only looks like one
    *"\u202e\u200f\u0634\u05e9\u05dc",  # right to left
    *"\u0301\u0308\u20e3\ufe0f\u200d\U0001f469\U0001f1e9\U0001f600",  # combining marks, joiners, emoji
    *"\ufffd\ufffe\U0010ffff\ue000",  # replacement, noncharacters, private use
    *"aAéß'_-.,<>09\u00b2\u0e01\u4e2d\U00020000",
    "'s",
    " the",
    "<unk>",
    "\r\n",
    "  ",
]

CHARACTERS = st.characters(exclude_categories=["Cs"])

ANY_TEXT = st.one_of(
    st.text(CHARACTERS, max_size=60),
    st.lists(st.sampled_from(ODD), max_size=60).map("".join),
    st.lists(st.one_of(st.sampled_from(ODD), CHARACTERS), max_size=60).map("".join),
)
SOME_TEXT = ANY_TEXT.filter(bool)


def cut(text: str, places: list[int]) -> list[str]:
    """`text` in pieces, cut at `places` (taken modulo its length); pieces may be empty."""
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)
