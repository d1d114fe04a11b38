"""Where text goes: what a model writes, piece by piece, to standard output; notes about it to standard error."""

import sys
from collections.abc import Iterable


def note(line: str) -> None:
    """Tell a person something that is no part of the text."""
    print(line, file=sys.stderr, flush=True)


def write_text(pieces: Iterable[str]) -> None:
    """Write each piece as soon as it is there, and a newline at the end, where the text has none."""
    end = ""
    for piece in pieces:
        sys.stdout.write(piece)
        sys.stdout.flush()
        end = piece[-1:] or end
    if end != "\n":
        sys.stdout.write("\n")
        sys.stdout.flush()
