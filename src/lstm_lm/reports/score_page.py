"""A text coloured by surprise: one HTML file that needs no other, and loads nothing."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from lstm_lm.printable import printable_text
from lstm_lm.runs import atomic
from lstm_lm.tokenizers import Tokenizer
from lstm_lm.tokenizers.interface import ROW_END

MOST_TOKENS = 200_000
"""On a page: browsers are slow with more."""
LEVELS = (0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
"""Nats from which on a token has the next colour."""

_HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.6 ui-monospace, monospace; margin: 2em auto; max-width: 60em; padding: 0 1em }}
h1 {{ font-size: 1em }}
div {{ white-space: pre-wrap; overflow-wrap: anywhere }}
i {{ display: inline-block; min-width: 4em; opacity: .5; user-select: none; font-style: normal }}
{colours}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Darker: more surprising, in nats: {legend}. The pointer over a token shows its own.</p>
"""


class ScorePage:
    """Takes tokens with their losses, as `Scoring` hands them out."""

    def __init__(self, file: IO[bytes], title: str, tokenizer: Tokenizer, *, whole: bool) -> None:
        """Begin the page; `whole`: the text comes as one, not line by line."""
        self._file = file
        self._whole = whole
        self._decoder = tokenizer.decoder()
        self._pending: list[float] = []  # losses of tokens that end in the middle of a character
        self._left = MOST_TOKENS
        legend = " ".join(f'<span class="s{level}">{edge}</span>' for level, edge in enumerate(_edges()))
        colours = "\n".join(
            f".s{level} {{ background: rgba(230, 90, 0, {0.1 * level:.1f}) }}" for level in range(1, len(LEVELS) + 1)
        )
        self._write(_HEAD.format(title=escape(printable_text(title)), colours=colours, legend=legend))
        if whole:
            self._write('<div dir="auto">')

    @property
    def full(self) -> bool:
        """Whether there was more text than a page has."""
        return self._left < 0

    def line(self, number: int, ids: NDArray[np.int64], nats: NDArray[np.float64]) -> None:
        """A line's tokens, [n], and their losses; NaN: the token is only read."""
        if self._has_room(len(ids)):
            self._write(f'<div dir="auto"><i>{number}</i>{self._spans(ids, nats)}{self._rest()}</div>\n')

    def running(self, ids: NDArray[np.int64], nats: NDArray[np.float64]) -> None:
        """The next tokens of a text that comes as a whole, likewise."""
        if self._has_room(len(ids)):
            self._write(self._spans(ids, nats))

    def end(self) -> None:
        """Write what closes the page."""
        if self._whole:
            self._write(f"{self._rest()}</div>\n")
        if self.full:
            self._write(f"<p>The text goes on; a page has its first {MOST_TOKENS:,} tokens at most.</p>\n")
        self._write("</body>\n</html>\n")

    def _has_room(self, tokens: int) -> bool:
        if self._left < 0:
            return False
        self._left -= tokens + 1  # a line of no tokens takes room, too
        return self._left >= 0

    def _spans(self, ids: NDArray[np.int64], nats: NDArray[np.float64]) -> str:
        return "".join(map(self._span, ids.tolist(), nats.tolist()))

    def _span(self, token: int, nats: float) -> str:
        self._pending.append(nats)
        text = self._decoder.push(token)
        return self._flush(text) if text else ""

    def _rest(self) -> str:
        """What is left of a character at the end, and a fresh start."""
        text = self._decoder.flush()
        return self._flush(text) if self._pending else ""

    def _flush(self, text: str) -> str:
        losses, self._pending = self._pending, []
        shown = escape(printable_text(text.replace(ROW_END, "⏹")).replace("\n", "⏎\n" if self._whole else "⏎"))
        if any(map(math.isnan, losses)):
            return f'<span title="only read, not scored">{shown}</span>'
        level = sum(sum(losses) >= edge for edge in LEVELS)
        said = " + ".join(f"{loss:.2f}" for loss in losses)
        return f'<span class="s{level}" title="{said} nats">{shown}</span>'

    def _write(self, text: str) -> None:
        self._file.write(text.encode("utf-8", "backslashreplace"))


@contextmanager
def score_page(path: Path, title: str, tokenizer: Tokenizer, *, whole: bool, overwrite: bool) -> Iterator[ScorePage]:
    """A page to fill; the file takes its place when the block ends well, another's only with `overwrite`.

    Raises:
        RunError: it cannot be written, or another one has come there.
    """
    with atomic.replacing(path, "another file: html=FILE.html", new=not overwrite) as file:
        page = ScorePage(file, title, tokenizer, whole=whole)
        yield page
        page.end()


def _edges() -> Iterator[str]:
    yield f"below {LEVELS[0]:g}"
    yield from (f"from {edge:g}" for edge in LEVELS)
