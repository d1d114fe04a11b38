"""Stop strings, found in text that arrives in pieces, across the borders of pieces."""

from collections.abc import Sequence


class StopScanner:
    """Passes text on up to the first stop string that is complete, and never a part of one.

    Of several, the one that ends first counts (the longest, where two end at once), so what comes out does not depend
    on where the pieces are cut. Constant work per character: Knuth, Morris and Pratt, 1977.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Take the stop strings, none of them empty; there may be none."""
        if not all(stops):
            raise ValueError("a stop string must not be empty")
        self._stops = [(stop, _borders(stop)) for stop in stops]
        self._matched = [0] * len(self._stops)
        self._held = ""
        self.stopped = False
        """Whether a stop string has come: nothing more will."""
        self.stopped_by: str | None = None
        """Which one."""

    def push(self, text: str) -> str:
        """What of the held text and `text` is certainly no part of a stop string."""
        if self.stopped:
            return ""
        if not self._stops:
            return text
        text = self._held + text
        for place in range(len(self._held), len(text)):
            length = self._advance(text[place])
            if length:
                self.stopped = True
                self._held = ""
                self.stopped_by = text[place + 1 - length : place + 1]
                return text[: place + 1 - length]
        ready = len(text) - max(self._matched)
        self._held = text[ready:]
        return text[:ready]

    def flush(self) -> str:
        """The text still held, at the end; the scanner is then as new, unless it has stopped."""
        held, self._held = self._held, ""
        self._matched = [0] * len(self._stops)
        return held

    def _advance(self, character: str) -> int:
        """Take one character; the length of the stop string that it completes, 0 for none."""
        complete = 0
        for index, (stop, borders) in enumerate(self._stops):
            matched = self._matched[index]
            while matched and stop[matched] != character:
                matched = borders[matched - 1]
            matched += stop[matched] == character
            self._matched[index] = matched
            if matched == len(stop):
                complete = max(complete, matched)
        return complete


def _borders(stop: str) -> list[int]:
    """For each beginning of `stop`, the length of the longest shorter beginning that it also ends with."""
    borders = [0] * len(stop)
    length = 0
    for place in range(1, len(stop)):
        while length and stop[length] != stop[place]:
            length = borders[length - 1]
        length += stop[length] == stop[place]
        borders[place] = length
    return borders
