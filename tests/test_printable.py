"""Foreign text on a terminal is shown, and never obeyed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_lm.printable import printable, printable_text

OBEYED = {
    "\x1b[2J": r"\x1b[2J",  # clears the screen
    "\x1b]0;title\x07": r"\x1b]0;title\x07",  # renames the window
    "\x9b31m": r"\x9b31m",  # C1: the same as ESC [
    "\x90q\x9c": r"\x90q\x9c",
    "\x07": r"\x07",
    "\x08": r"\x08",
    "\r": r"\r",
    "\x7f": r"\x7f",
    "\u202egpj.exe": r"\u202egpj.exe",  # right to left
    "\u2066a\u2069": r"\u2066a\u2069",
    "\u2028": r"\u2028",
    "\ud800": r"\ud800",
    "\U000e0041": r"\U000e0041",  # an invisible letter
}


@pytest.mark.parametrize("text", OBEYED)
def test_what_a_terminal_would_obey_is_escaped(text: str) -> None:
    assert printable_text(f"é {text} 日\n\tb") == f"é {OBEYED[text]} 日\n\tb"
    assert printable(f"é {text} 日") == f"é {OBEYED[text]} 日"


@pytest.mark.parametrize("text", ["a\u00a0b", "日\u3000本", "می\u200cخواهم", "👩\u200d🚀", "\ue0b0"])
def test_what_a_script_needs_is_kept_in_a_text(text: str) -> None:
    assert printable_text(text) == text


def test_lines_of_windows_are_lines() -> None:
    assert printable_text("a\r\nb\rc") == "a\nb\\rc"


@given(st.text(st.characters()))
def test_nothing_that_moves_a_cursor_is_left(text: str) -> None:
    assert printable(text).isprintable()
    assert not any(
        ord(character) < 32 or 127 <= ord(character) < 160
        for character in printable_text(text)
        if character not in "\n\t"
    )
    assert printable_text(printable_text(text)) == printable_text(text)
