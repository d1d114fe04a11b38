"""Which units of a text train, validate and test: dealt at random, and the same on every machine.

A unit's number depends on its own text and the seed, so equal ones are always together, wherever they stand. The least
numbers validate, the next ones test, the others train: of the different units each split gets just its share.
"""

from collections.abc import Mapping
from itertools import accumulate, pairwise

import numpy as np
from numpy.typing import NDArray

from lstm_lm.data.corpora.interface import Split
from lstm_lm.data.text_source import TextSource
from lstm_lm.data.units import BLANK_LINE, PLACES, Units, UnitText, digest_of, units_of
from lstm_lm.errors import UserError
from lstm_lm.printable import printable
from lstm_lm.tokenizers.interface import ROW_END

MOST_COUNTED = 1 << 22
"""Different units; of more, each split gets its share by chance, which is then off by less than 0.1 % of the units."""
_AT_ONCE = 1 << 20
_CUT_OFF: tuple[Split, ...] = ("validation", "test")


def unit_splits(source: TextSource, units: Units, fractions: Mapping[Split, float]) -> dict[Split, UnitText]:
    """The splits of a training source; reads it once.

    Args:
        source: what is cut.
        units: how it is taken apart, and the seed.
        fractions: of validation and test, each the share of the different units; one at least is above 0.

    Raises:
        UserError: there are too few units, or the text cannot be read.
    """
    shares = {split: fractions[split] for split in _CUT_OFF if fractions.get(split)}
    numbers = _numbers(source, units)
    counts = [max(1, round(share * len(numbers))) for share in shares.values()]
    if len(numbers) <= sum(counts):
        raise _too_few(source, units, len(numbers), ["train", *shares])
    if len(numbers) > MOST_COUNTED:
        edges = [int(share * PLACES) for share in accumulate(shares.values())]
    else:
        edges = [int(numbers[count]) for count in accumulate(counts)]
    held_out = {
        split: UnitText(source, units, *ends) for split, ends in zip(shares, pairwise([0, *edges]), strict=True)
    }
    return {"train": UnitText(source, units, edges[-1]), **held_out}


def _numbers(source: TextSource, units: Units) -> NDArray[np.uint64]:
    """Those of the different units, ascending; of too many, the first ones that are too many."""
    numbers = np.empty(0, np.uint64)
    waiting: list[int] = []
    for unit in units_of(source, units.separator):
        waiting.append(digest_of(unit, units.seed))
        if len(waiting) == _AT_ONCE:
            numbers = np.union1d(numbers, np.array(waiting, np.uint64))
            waiting = []
            if len(numbers) > MOST_COUNTED:
                return numbers
    return np.union1d(numbers, np.array(waiting, np.uint64))


def _too_few(source: TextSource, units: Units, count: int, splits: list[str]) -> UserError:
    if units.separator == ROW_END:
        return UserError(
            f"{source.label}: {count} different row{'s' if count != 1 else ''} with text, too few for "
            f"{', '.join(splits)}\ngive more rows, or another column: data.column=NAME"
        )
    noun = units.noun if count == 1 else f"{units.noun}s"
    if noun == "document":
        where = f"data.separator={printable(repr(units.separator))}: does not stand between different documents"
        return UserError(
            f"{where} of {source.label}\nname what does, or read the text as one: data.unit=window"
            + (r" (a blank line of Windows: data.separator=\r\n\r\n)" if units.separator == BLANK_LINE else "")
        )
    return UserError(
        f"{source.label}: {count} different {noun} (blank ones left out), too few for {', '.join(splits)}\n"
        f"give more {units.noun}s, or read the text as running text: data.unit=window"
    )
