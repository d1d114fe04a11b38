"""What comes from a foreign run directory or model cannot give the terminal orders."""

import io
import sys

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lstm_lm.cli.text_output import note, print_lines, write_text
from lstm_lm.runs import lookup
from lstm_lm.terminal import Terminal

HOSTILE = "a\x1b[2J\x9b31m\x07\u202eb[red]c[/red][/no] :smile:"
SHOWN = r"a\x1b[2J\x9b31m\u202eb[red]c"
"""How it begins, at least: a column may be too narrow. Rich itself leaves out the bell."""


def table(cell: str | Text) -> Table:
    grid = Table("one", "two")
    grid.add_row(cell, "x")
    return grid


@pytest.mark.parametrize(
    "printed",
    [HOSTILE, Text(HOSTILE, style="red"), table(HOSTILE), table(Text(HOSTILE)), Panel(HOSTILE, title=Text(HOSTILE))],
    ids=["text", "styled", "cell", "styled cell", "panel"],
)
@pytest.mark.parametrize("terminal", [True, False])
def test_everything_that_is_printed_is_shown_as_it_is(terminal: bool, printed: object) -> None:
    file = io.StringIO()
    Terminal(file=file, force_terminal=terminal, width=200, color_system=None).print(printed)
    assert SHOWN in file.getvalue()
    assert not any(character in file.getvalue() for character in "\x1b\x9b\x07\u202e")


def test_colours_of_our_own_are_sent() -> None:
    file = io.StringIO()
    Terminal(file=file, force_terminal=True, width=200, color_system="standard").print(Text("a", style="red"))
    assert file.getvalue() == "\x1b[31ma\x1b[0m\n"


def at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


def test_generated_text_is_shown_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = at_a_terminal(monkeypatch)
    write_text(["a\x1b", "[2J\nb\t", "می\u200cخواهم"])
    note("\x1b[2J")
    lookup.to_standard_error("\x07")
    print_lines("x,\x1b[2J\n1,2")
    assert screen.getvalue() == "a\\x1b[2J\nb\tمی\u200cخواهم\n\\x1b[2J\n\\x07\nx,\\x1b[2J\n1,2\n"


def test_a_pipe_gets_the_very_text(capsys: pytest.CaptureFixture[str]) -> None:
    write_text(["a\x1b", "[2J\r\n"])
    print_lines("\x1b")
    assert capsys.readouterr().out == "a\x1b[2J\r\n\x1b\n"
