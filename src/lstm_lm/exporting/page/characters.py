"""What tokens of a text can be told apart by: spaces, capitals, quotations, where in a line, ..."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from lstm_lm.tokenizers import Tokenizer

Marks = NDArray[np.bool_]

VOWELS = frozenset("aeiouAEIOU")
LATE_IN_A_WORD = 5
"""Letters before it."""
QUOTES = '"“”«»„'
OPENING, CLOSING = "([{", ")]}"

HELD: dict[str, Callable[[str], bool]] = {
    "spaces": lambda character: character == " ",
    "ends of lines": lambda character: character == "\n",
    "capital letters": str.isupper,
    "vowels": VOWELS.__contains__,
    "consonants": lambda character: character.isascii() and character.isalpha() and character not in VOWELS,
    "digits": str.isdigit,
    "punctuation": lambda character: not character.isalnum() and not character.isspace(),
    "letters beyond ASCII": lambda character: character.isalpha() and not character.isascii(),
}
"""Kinds of characters; a token is of one if a character of it is."""


def token_classes(tokens: Sequence[int], tokenizer: Tokenizer) -> dict[str, Marks]:
    """Which of `tokens[N]` are of which kind: bool `[N]` by what a page calls the kind.

    Of a token of several characters, what depends on the place (in a line, in quotation marks) is that of its last one.
    Tokens that end in the middle of a character are of none.
    """
    decoder = tokenizer.decoder()
    pieces = [decoder.push(int(token)) for token in tokens]
    text = "".join(pieces)
    whole = np.array([bool(piece) for piece in pieces], np.bool_)
    last = np.maximum(np.cumsum([len(piece) for piece in pieces], dtype=np.int64) - 1, 0)
    found = {name: np.array([any(map(test, piece)) for piece in pieces], np.bool_) for name, test in HELD.items()}
    if text:
        found |= {name: np.asarray(marks, np.bool_)[last] & whole for name, marks in _by_place(text)}
    return found


def _by_place(text: str) -> Iterator[tuple[str, Sequence[bool] | Marks]]:
    """Kinds that depend on what is around: a mark for each character of `text`."""
    letters = np.array([character.isalpha() for character in text], np.bool_)
    before = np.concatenate([np.zeros(1, np.bool_), letters[:-1]])
    after = np.concatenate([letters[1:], np.zeros(1, np.bool_)])
    yield "first letters of words", letters & ~before
    yield "last letters of words", letters & ~after
    yield "late letters of long words", np.array(_since(letters)) > LATE_IN_A_WORD
    yield "words in capitals", _spans(text, r"\b[A-Z]{2,}\b")
    yield "indentation", _spans(text, r"(?m)^[ \t]+")
    columns = np.array(_since(np.array([character != "\n" for character in text])))
    yield "the second half of lines", columns > np.median(columns)
    yield "text in quotation marks", list(_quoted(text))
    yield "text in brackets", list(_bracketed(text))
    yield "comments", _spans(text, r"(?m)(?:#|//|--).*$")


def _since(marks: Marks) -> list[int]:
    """How many marks in a row end at each place."""
    return list(accumulate(marks.tolist(), lambda count, mark: count + 1 if mark else 0, initial=0))[1:]


def _spans(text: str, pattern: str) -> Marks:
    marks = np.zeros(len(text), np.bool_)
    for found in re.finditer(pattern, text):
        marks[found.start() : found.end()] = True
    return marks


def _quoted(text: str) -> Iterator[bool]:
    """A mark turns it on or off; a blank line ends a quotation that somebody forgot to end."""
    inside, previous = False, ""
    for character in text:
        if character in QUOTES:
            inside = not inside
        elif character == previous == "\n":
            inside = False
        yield inside
        previous = character


def _bracketed(text: str) -> Iterator[bool]:
    depth, previous = 0, ""
    for character in text:
        if character in OPENING:
            depth += 1
        elif character in CLOSING:
            depth = max(0, depth - 1)
        elif character == previous == "\n":
            depth = 0
        yield depth > 0
        previous = character
