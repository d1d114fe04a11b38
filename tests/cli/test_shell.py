import errno
import io
import signal
import sys

import pytest

from lstm_lm.cli.shell import explain, run_in_shell
from lstm_lm.errors import Interrupted, RunError, UserError


def status_of(error: BaseException) -> int:
    def command() -> int:
        raise error

    return run_in_shell(command)


def test_the_commands_own_status() -> None:
    assert run_in_shell(lambda: 0) == 0
    assert run_in_shell(lambda: 1) == 1


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UserError("text.txt: missing\nname another"), 2, "error: text.txt: missing\nname another\n"),
        (RunError("the disk is full"), 1, "error: the disk is full\n"),
        (UserError("1\n2\n3\n4\n5\n6"), 2, "error: 1\n2\n3\n4\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.ckpt"), 1, "error: a.ckpt: no space left on this disk"),
        (MemoryError(), 1, "error: not enough memory: MemoryError\n"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "error: not enough memory: "),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 8 bytes"),
            1,
            "error: not enough memory",
        ),
        (RuntimeError("std::bad_alloc"), 1, "error: not enough memory: std::bad_alloc"),
        (RuntimeError("can't start new thread"), 1, "error: not enough memory: can't start new thread"),
        (ImportError("libtorch.so: cannot map: Cannot allocate memory"), 1, "error: not enough memory: libtorch"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (Interrupted(signal.SIGINT), 130, ""),
        (Interrupted(signal.SIGTERM), 143, ""),
    ],
)
def test_what_a_user_can_cause(
    error: BaseException, status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(error) == status
    err = capsys.readouterr().err
    assert err.startswith(told)
    assert "Traceback" not in err


def test_an_error_of_the_program_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(ZeroDivisionError("inside")) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "ZeroDivisionError: inside" in err
    assert explain(ZeroDivisionError()) is None


def test_full_error_adds_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert status_of(UserError("wrong")) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("error: wrong\n")


def test_sigterm_ends_a_command_at_any_moment_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    tidied: list[bool] = []

    def command() -> int:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            tidied.append(True)
        return 0

    assert run_in_shell(command) == 143
    assert tidied == [True]
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize(
    ("errors", "said", "written"),
    [
        ("strict", "日 is a day", b"? is a day\n"),
        ("surrogateescape", "run-\udcff", b"run-\xff\n"),  # as LC_ALL=C has it: a path with a byte that is no letter
        ("backslashreplace", "日", b"\\u65e5\n"),  # asked for by PYTHONIOENCODING
    ],
)
def test_what_cannot_be_shown(errors: str, said: str, written: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii", errors=errors, newline="\n"))
    assert run_in_shell(lambda: print(said) or 0) == 0
    assert output.getvalue() == written
