"""Text that the tokenizer does not know: in which lines it stands, and how often."""

from collections.abc import Callable, Iterable
from itertools import chain, islice

from lstm_lm.errors import UserError
from lstm_lm.evaluation.scoring.lines import Line, Noun

MOST_NAMED = 8
"""Lines that are named."""
LOOKED_FURTHER = 100_000
"""Lines after the first one that are looked at before it is refused: a text may have no end."""

Count = Callable[[Line], int]
"""Unknown pieces of a line."""


class UnknownLines:
    """Counts them as they come."""

    def __init__(self, noun: Noun = "line") -> None:
        self._noun = noun
        self.pieces = 0
        """Unknown pieces of text so far."""
        self.count = 0
        """Lines that have any."""
        self._named: list[int] = []
        self._last = 0

    def add(self, line: int, pieces: int) -> None:
        """A line's number, or that of its next part, and how many unknown pieces that has, 0 perhaps."""
        self.pieces += pieces
        if not pieces or line == self._last:
            return
        self._last = line
        self.count += 1
        if len(self._named) < MOST_NAMED:
            self._named.append(line)

    @property
    def where(self) -> str:
        """`3 lines: 4, 9, 12`."""
        more = ", ..." if self.count > len(self._named) else ""
        return f"{self.count:,} {self._noun}{'s' if self.count > 1 else ''}: {', '.join(map(str, self._named))}{more}"


def refusal(
    error: UserError, first: Line, following: Iterable[Line], count: Count, label: str, noun: Noun = "line"
) -> UserError:
    """What to say of a line that cannot be encoded; of unknown text also in which lines it stands.

    Args:
        error: what the tokenizer said.
        first: the line.
        following: the lines after it; some of them are read.
        count: of the unknown pieces of a line.
        label: what to call the text.
        noun: what to call a line.
    """
    found, last = UnknownLines(noun), first
    try:
        for last in chain([first], islice(following, LOOKED_FURTHER)):
            found.add(last.number, count(last))
    except UserError:  # half of a character; or another fault of the text, further on
        pass
    if not found.count:
        return UserError(f"{label}, {noun} {first.number}: {error}")
    what, *_, remedy = str(error).splitlines()
    further = f" (of the first {last.number:,})" if last.number - first.number >= LOOKED_FURTHER else ""
    return UserError(f"{label}, {noun} {first.number}: {what}\nsuch text is in {found.where}{further}\n{remedy}")
