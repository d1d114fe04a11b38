"""The units of a text: its lines, or its documents, each a text by itself, with what separates it from the next.

Blank ones are left out. The last one gets the separator that it may lack, so that the end of every unit is there to be
learnt. Blanks around a unit do not make it another one: where two are compared, that is by what is between them.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lstm_lm.data.text_source import PIECE_BYTES, TextSource
from lstm_lm.errors import UserError
from lstm_lm.printable import printable
from lstm_lm.tokenizers.interface import ROW_END

Unit = Literal["window", "line", "document"]

LINE_END = "\n"
BLANK_LINE = "\n\n"
"""What separates documents, unless another separator is named."""
MOST_CHARACTERS = 1 << 26
"""Of a unit, which is held in memory."""
PLACES = 1 << 64
"""Units are dealt by a number below this."""
_ESCAPED = {r"\n": "\n", r"\r": "\r", r"\t": "\t", r"\\": "\\"}


@dataclass(frozen=True)
class Units:
    """How a text is taken apart, and dealt to its splits."""

    separator: str
    seed: int
    """Of the numbers that decide which split a unit belongs to."""

    @property
    def noun(self) -> str:
        """What to call a unit."""
        return "line" if self.separator == LINE_END else "document"


def unit_of(section: Mapping[str, Any]) -> Any:
    """The unit that a whole `data` section means: rows of a table are documents."""
    return section.get("unit") if section.get("column") is None else "document"


def separator_of(section: Mapping[str, Any]) -> str | None:
    """What ends a unit, as a whole `data` section has it; None: its text is a stream of windows."""
    if section.get("column") is not None:
        return ROW_END
    if section.get("unit") == "line":
        return LINE_END
    if section.get("unit") == "document":
        typed = section.get("separator")
        return BLANK_LINE if typed is None else unescaped(str(typed))
    return None


def shown_end(separator: str) -> str:
    """What a person sees where a unit ends."""
    return BLANK_LINE if separator == ROW_END else separator


def unescaped(typed: str) -> str:
    r"""The text that is meant by `\n`, `\r`, `\t` and `\\`; anything else stands for itself."""
    return re.sub(r"\\[nrt\\]", lambda found: _ESCAPED[found[0]], typed)


def units_of(source: TextSource, separator: str) -> Iterator[str]:
    """Every unit that is not blank, in the text's order, without the separator behind it.

    Raises:
        UserError: the text cannot be read, or a unit is too long to be one.
    """
    rest = ""
    for piece in source.pieces():
        *whole, rest = (rest + piece).split(separator)
        yield from (unit for unit in whole if unit.strip())
        if len(rest) > MOST_CHARACTERS:
            raise UserError(
                f"{source.label}: {MOST_CHARACTERS:,} characters without a {printable(repr(separator))}\n"
                "name what separates its documents (data.unit=document data.separator=TEXT), or use data.unit=window"
            )
    begun = (length for length in range(len(separator) - 1, 0, -1) if rest.endswith(separator[:length]))
    last = rest.removesuffix(separator[: next(begun, 0)])
    if last.strip():
        yield last


def digest_of(unit: str, seed: int = 0) -> int:
    """64 bits that tell units apart, given without their separators; with a `seed` (below 2^32), others."""
    content = unit.strip().encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8, salt=seed.to_bytes(4, "big")).digest(), "big")


class UnitText(TextSource):
    """The units of another text that are dealt a number from `low` to below `high`: by themselves all of them."""

    def __init__(self, source: TextSource, units: Units, low: int = 0, high: int = PLACES) -> None:
        self._source = source
        self._how = units
        self._low, self._high = low, high

    @property
    def label(self) -> str:
        """What to call the text in a message."""
        return self._source.label

    def units(self) -> Iterator[str]:
        """Each with its separator behind it, in the text's order; each call is a pass of its own.

        Raises:
            UserError: as `units_of`.
        """
        every = (self._low, self._high) == (0, PLACES)
        for unit in units_of(self._source, self._how.separator):
            if every or self._low <= digest_of(unit, self._how.seed) < self._high:
                yield unit + self._how.separator

    def pieces(self) -> Iterator[str]:
        """The units, in pieces of about 1 MiB."""
        waiting: list[str] = []
        size = 0
        for unit in self.units():
            waiting.append(unit)
            size += len(unit)
            if size >= PIECE_BYTES:
                yield "".join(waiting)
                waiting, size = [], 0
        if waiting:
            yield "".join(waiting)

    def checksum(self) -> str:
        """SHA-256 over the whole text's checksum and what is taken of it, hex."""
        taken = [self._source.checksum(), self._how.separator, self._how.seed, self._low, self._high]
        return hashlib.sha256(repr(taken).encode("utf-8", "surrogatepass")).hexdigest()

    def digests(self) -> list[str]:
        """Those of the whole text."""
        return self._source.digests()
