"""Messages for people, whatever they quote."""

import pickle

import pytest

from lstm_lm.errors import LONGEST_LINE, Interrupted, RunError, UserError


def test_what_a_terminal_would_not_show_is_escaped() -> None:
    error = UserError("a\tb\x1b[31m\u202ec\ud800\r\nsecond line, é日 kept")
    assert str(error) == "a\\tb\\x1b[31m\\u202ec\\ud800\\r\nsecond line, é日 kept"
    assert len(str(error).splitlines()) == 2


def test_a_line_without_end_loses_its_middle() -> None:
    first, second = str(RunError("x=" + "a" * 10_000 + ": too long\nshorten it")).split("\n")
    assert first.startswith("x=aaa")
    assert first.endswith("aaa: too long")
    assert len(first) == LONGEST_LINE + 3
    assert second == "shorten it"


def test_errors_come_back_from_other_processes() -> None:
    assert str(pickle.loads(pickle.dumps(RunError("one\ntwo")))) == "one\ntwo"
    assert pickle.loads(pickle.dumps(Interrupted(15))).exit_status == 143


def test_a_notebook_shows_the_message_or_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    error = RunError("the disk is full\nmake room")
    assert error._render_traceback_() == ["RunError: the disk is full\nmake room"]
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(RunError) as raised:
        raise error
    assert "Traceback" in "".join(raised.value._render_traceback_())
