"""Where text goes: what a model writes, piece by piece, to standard output; notes about it to standard error."""

import sys
from collections.abc import Iterable
from pathlib import Path
from shutil import get_terminal_size

from lstm_lm.display import Output
from lstm_lm.printable import printable_text
from lstm_lm.shell_words import short_path
from lstm_lm.wrapping import columns, wrapped


def note(line: str) -> None:
    """Tell a person something that is no part of the text."""
    for part in wrapped(line, get_terminal_size().columns):
        _tell(part)


def note_path(path: Path, told: str = "") -> None:
    """A file or folder, never broken, and what there is to say of it, below it where both are too wide for a line."""
    shown = short_path(path)
    if told and columns(f"{shown}: {told}") <= get_terminal_size().columns:
        _tell(f"{shown}: {told}")
        return
    _tell(shown)
    if told:
        note(told)


def _tell(line: str) -> None:
    print(printable_text(line), file=sys.stderr, flush=True)


def print_lines(text: str) -> None:
    """Print text for programs: to a terminal what it would obey is shown, to a file or a pipe it goes as it is."""
    print(printable_text(text) if sys.stdout.isatty() else text)


def note_lost_characters() -> None:
    """Tell how many characters the encoding of standard output lacks, where there were any."""
    if isinstance(sys.stdout, Output) and (lost := sys.stdout.replaced):
        count = "1 character" if lost == 1 else f"{lost:,} characters"
        note(f"{count} became '?': {sys.stdout.encoding} lacks them; PYTHONIOENCODING=utf-8 has all")


def write_text(pieces: Iterable[str]) -> None:
    """Write each piece as soon as it is there, and a newline at the end, where the text has none.

    A file or a pipe gets the very text; a terminal is shown what it would obey: a model writes what it was trained on.
    """
    end = ""
    shown = printable_text if sys.stdout.isatty() else str
    for piece in pieces:
        sys.stdout.write(shown(piece))
        sys.stdout.flush()
        end = piece[-1:] or end
    if end != "\n":
        sys.stdout.write("\n")
        sys.stdout.flush()
