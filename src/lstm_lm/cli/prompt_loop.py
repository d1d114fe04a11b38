"""A conversation: read a line, continue it, read the next. Whether they are all one text is for the writer to say."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from lstm_lm.cli.text_output import note, write_text
from lstm_lm.errors import UserError

Write = Callable[[str], Iterator[str]]
"""Reads what was typed (when it returns, it has been read, or refused); gives it and what follows it, in pieces."""

SIGN = "> "


def prompt_loop(write: Write, first: str, hint: str) -> None:
    """Say `hint`; continue `first`, if there is one, and then each line of standard input, until that ends (Ctrl-D).

    A line goes to the model without its newline, and may be empty. The lines are repeated on standard
    output, so that the whole text is there. Ctrl-C ends what is being written, and a second one the loop.

    Raises:
        UserError: the tokenizer does not know `first`. (Of later lines that is printed, and the loop continues.)
        RunError: the model's weights have diverged.
        KeyboardInterrupt: Ctrl-C, twice, or while nothing is being written.
    """
    _edit_lines()
    note(f"{hint}. Ctrl-C stops the writing, Ctrl-D ends")
    if first:
        _turn(write, first)
    while (line := _next_line()) is not None:
        try:
            _turn(write, line)
        except UserError as error:
            if error.exit_status != UserError.exit_status:
                raise
            note(f"error: {error}")


def _turn(write: Write, prompt: str) -> None:
    pieces = write(prompt)
    with _Pause() as pause:
        write_text(pause.until_asked(pieces))


def _edit_lines() -> None:
    """Have the arrow keys move in a line, and fetch the ones before it: what `input` does once `readline` is there.

    Windows has none, and its console edits lines by itself.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401


def _next_line() -> str | None:
    """The next line of standard input without its newline; None at the end."""
    if sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty():  # else the sign would be in the text
        with contextlib.suppress(EOFError):
            return input(SIGN)
        note("")
        return None
    sys.stderr.write(SIGN)
    sys.stderr.flush()
    line = "" if sys.stdin is None else sys.stdin.readline()
    return line.removesuffix("\n") if line else None


class _Pause:
    """Takes the first Ctrl-C as a wish to stop between two pieces; the second is an ordinary one."""

    def __init__(self) -> None:
        self._asked = False

    def __enter__(self) -> "_Pause":
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._main:
            signal.signal(signal.SIGINT, self._before)

    def until_asked(self, pieces: Iterator[str]) -> Iterator[str]:
        """`pieces`, up to the wish to stop."""
        for piece in pieces:
            yield piece
            if self._asked:
                return

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True
