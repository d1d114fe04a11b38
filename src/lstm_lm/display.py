"""Standard streams, and what becomes of a run when they do not work.

What is told of work whose results lie elsewhere goes through a `Display`: nothing that is printed can end that work.
The results that a command prints go through an `Output`, which says that they were lost.
"""

import codecs
import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from rich.console import Console

ERRORS = "lstm_lm.shown"
"""For `reconfigure`: a byte of a path that is no letter is written as it is, what the encoding lacks as "?"."""


class OutputLost(Exception):
    """Standard output could not be written; `cause` says why."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Output:
    """A stream whose text somebody wants. In all else it is the stream below.

    Raises:
        OutputLost: it could not be written.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.replaced = 0
        """Characters so far that the stream's encoding lacks."""

    def write(self, text: str) -> int:
        """Write it, and count what the encoding lacks."""
        self.replaced += _lacking(text, getattr(self.stream, "encoding", None))
        try:
            return self.stream.write(text)
        except OSError as error:
            raise OutputLost(error) from error

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """See to it that all is written."""
        try:
            self.stream.flush()
        except OSError as error:
            raise OutputLost(error) from error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


class Display:
    """A stream for people. What cannot be written is left out; nobody hears of it. In all else it is the stream below.

    A closed pipe, a terminal that has hung up, a full disk: each write is tried, so a log goes on once there is room.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with contextlib.suppress(OSError, ValueError):  # ValueError: somebody has closed it
            try:
                self.stream.write(text)
            except UnicodeEncodeError:
                encoding = self.stream.encoding or "ascii"
                self.stream.write(text.encode(encoding, "replace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Have it written, where that can be done."""
        with contextlib.suppress(OSError, ValueError):
            self.stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def spelled_out(text: str) -> str:
    r"""`text` as UTF-8 can have it: with each byte of a path that is no letter, a surrogate in Python, as `\udcff`."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@contextmanager
def standard_streams() -> Iterator[bool]:
    """Make the standard streams an `Output` and, for errors, a `Display`; gives whether there is a standard output.

    One that the caller has closed becomes an empty one: the next file that is opened would else get its number, and
    what C code or another process prints would go there. (`sys.stdin` stays None, for those who ask for input.)
    """
    before = sys.stdout, sys.stderr
    _open_again(sys.stdin, *before)
    with open(os.devnull, "w", encoding="utf-8", errors="replace") as nowhere:
        output, errors = (nowhere if stream is None else stream for stream in before)
        _show_all_letters(output)
        sys.stdout, sys.stderr = cast(TextIO, Output(output)), cast(TextIO, Display(errors))
        try:
            yield before[0] is not None
        finally:
            sys.stdout, sys.stderr = before
            _let_go(output)
            _let_go(errors)


@contextmanager
def for_people() -> Iterator[None]:
    """In here, standard output is a `Display` as well."""
    before = sys.stdout
    below = before.stream if isinstance(before, Output) else before
    if below is None or isinstance(below, Display):
        yield
        return
    sys.stdout = cast(TextIO, Display(below))
    try:
        yield
    finally:
        sys.stdout = before
        _let_go(below)


@contextmanager
def never_failing(console: "Console | None") -> Iterator[None]:
    """In here, what `console` prints cannot fail, wherever it prints to."""
    if console is None or isinstance(console.file, Display):
        yield
        return
    before = console.file
    console.file = cast(TextIO, Display(before.stream if isinstance(before, Output) else cast(TextIO, before)))
    try:
        yield
    finally:
        console.file = before


def _open_again(*streams: TextIO | None) -> None:
    for number, stream in enumerate(streams):
        if stream is not None:
            continue
        try:
            os.fstat(number)
        except OSError:
            empty = os.open(os.devnull, os.O_RDWR)
            if empty != number:
                os.dup2(empty, number)
                os.close(empty)
            else:
                os.set_inheritable(number, True)


def _show_all_letters(stream: TextIO) -> None:
    codecs.register_error(ERRORS, _as_shown)
    if getattr(stream, "errors", None) in ("strict", "surrogateescape"):  # else someone has said how
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors=ERRORS)


def _as_shown(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler: the first characters of the wrong ones that are of one kind, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wrong = error.object[error.start : error.end]
    escaped = [0xDC80 <= ord(character) <= 0xDCFF for character in wrong]
    length = escaped.index(not escaped[0]) if (not escaped[0]) in escaped else len(wrong)
    shown = wrong[:length].encode("ascii", "surrogateescape") if escaped[0] else "?" * length
    return shown, error.start + length


def _lacking(text: str, encoding: object) -> int:
    if not isinstance(encoding, str):  # a stand-in for a stream
        return 0
    try:
        text.encode(encoding, "surrogateescape")
    except UnicodeEncodeError:
        return sum(_lacking(character, encoding) for character in text) if len(text) > 1 else 1
    return 0


def _let_go(stream: TextIO) -> None:
    """Drop what `stream` cannot write: Python would try once more as it exits, complain, and exit with status 120."""
    try:
        stream.flush()
    except ValueError:  # closed
        return
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
            stream.flush()
