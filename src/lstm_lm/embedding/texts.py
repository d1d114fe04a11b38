"""A text, read as a stream, as the pieces that get a vector each: its lines or rows, or windows of its tokens."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from lstm_lm.data.text_source import TextSource
from lstm_lm.data.units import LINE_END
from lstm_lm.errors import UserError
from lstm_lm.tokenizers import Tokenizer, Unknown
from lstm_lm.tokenizers.interface import ROW_END, Ids


class Piece(NamedTuple):
    """What gets one vector."""

    text: str
    """For people to read; a line or row without its end."""
    ids: Ids
    """int64[n]; none where there is nothing to make a vector of: a blank line, or one that is all unknown."""
    replaced: int
    """Unknown pieces of text in it, left out or replaced."""


def lines(source: TextSource, tokenizer: Tokenizer, unknown: Unknown) -> Iterator[Piece]:
    """Every line, blank ones too: piece i is line i.

    A line is encoded with its newline, as an autoencoder is trained on lines, if the tokenizer knows one; the text's
    last line too, whether or not it has one.

    Raises:
        UserError: the text cannot be read, or has what the tokenizer does not know and `unknown` is "error".
    """
    return _pieces(_split(source, LINE_END), LINE_END, tokenizer, unknown, f"{source.label}, line")


def given(texts: Iterable[str], tokenizer: Tokenizer, unknown: Unknown, label: str) -> Iterator[Piece]:
    """`texts`, each a line without its end, likewise; `label` is what to call them in a message.

    Raises:
        UserError: one has a newline in it, or what the tokenizer does not know and `unknown` is "error".
    """
    return _pieces(_single(texts, label), LINE_END, tokenizer, unknown, f"{label}, line")


def rows(source: TextSource, tokenizer: Tokenizer, unknown: Unknown, end: str) -> Iterator[Piece]:
    """Every row of tables, blank ones too, likewise, but with `end` behind it: what ends the run's own units.

    Raises:
        UserError: as `lines`.
    """
    return _pieces(_split(source, ROW_END), end, tokenizer, unknown, f"{source.label}, row")


def _pieces(texts: Iterable[str], end: str, tokenizer: Tokenizer, unknown: Unknown, label: str) -> Iterator[Piece]:
    end = end if len(tokenizer.encode(end, "skip").ids) else ""
    nothing = np.empty(0, np.int64)
    for number, line in enumerate(texts, 1):
        if not line.strip():
            yield Piece("", nothing, 0)
            continue
        try:
            ids, replaced = tokenizer.encode(line, unknown)
            if not len(ids) or (replaced and unknown == "skip" and not tokenizer.decode(ids.tolist()).strip()):
                yield Piece(line, nothing, replaced)
            else:
                yield Piece(line, tokenizer.encode(line + end, unknown).ids, replaced)
        except UserError as error:
            raise UserError(f"{label} {number}: {error}") from None


def _single(texts: Iterable[str], label: str) -> Iterator[str]:
    for number, line in enumerate(texts, 1):
        if LINE_END in line:
            raise UserError(f"{label}, line {number}: has a newline in it\ngive each line without its end")
        yield line


def _split(source: TextSource, between: str) -> Iterator[str]:
    begun: list[str] = []
    for piece in source.pieces():
        first, *others = piece.split(between)
        begun.append(first)
        for following in others:
            yield "".join(begun)
            begun = [following]
    if last := "".join(begun):
        yield last


def windows(source: TextSource, tokenizer: Tokenizer, unknown: Unknown, size: int) -> Iterator[Piece]:
    """Windows of `size` tokens, one after the other; the last one may have fewer.

    Raises:
        UserError: as `lines`.
    """
    kept = np.empty(0, np.int64)
    unknown_pieces = 0
    try:
        for ids, replaced in tokenizer.encode_pieces(source.pieces(), unknown):
            kept, unknown_pieces = np.concatenate([kept, ids]), unknown_pieces + replaced
            whole = len(kept) - len(kept) % size
            for start in range(0, whole, size):
                yield _window(kept[start : start + size], tokenizer, unknown_pieces)
                unknown_pieces = 0
            kept = kept[whole:]
    except UserError as error:
        message = str(error)
        raise UserError(message if message.startswith(source.label) else f"{source.label}: {message}") from None
    if len(kept):
        yield _window(kept, tokenizer, unknown_pieces)


def _window(ids: Ids, tokenizer: Tokenizer, replaced: int) -> Piece:
    return Piece(tokenizer.decode(ids.tolist()), ids, replaced)
