"""Lines that fit a terminal, broken between words alone: a longer word may be a path that somebody copies."""

import re
from unicodedata import combining, east_asian_width

_WORD = re.compile(r"\s*\S+\s*")


def columns(text: str) -> int:
    """That `text` takes: a wide character two, one that is put upon another none."""
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` columns, but for longer words."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for word in _WORD.findall(paragraph):
            if line and columns(f"{line}{word}".rstrip()) > width:
                lines.append(line.rstrip())
                line = ""
            line += word
        lines.append(line.rstrip())
    return lines
