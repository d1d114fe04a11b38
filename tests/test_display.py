"""Nothing that is printed ends a run; a command whose results are what it prints says that they were lost."""

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest
from jobs_in_process import as_in_a_process
from rich.console import Console
from tiers import first

import lstm_lm
from lstm_lm.cli.main import main
from lstm_lm.cli.shell import run_in_shell
from lstm_lm.display import Display, Output, for_people, never_failing, standard_streams
from lstm_lm.runs import summary
from lstm_lm.sweeps import fresh_process

ROOT = Path(__file__).resolve().parents[1]
Config = Callable[..., dict[str, Any]]


class Failing(io.StringIO):
    """A stream behind which there is nothing that takes text."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


GONE = [
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    OSError(errno.EIO, "Input/output error"),  # a terminal that has hung up
    OSError(errno.ENOSPC, "No space left on device"),
    BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    ValueError("I/O operation on closed file."),
]


@pytest.fixture(params=["pipe", "full"])
def lost(request: pytest.FixtureRequest) -> Iterator[TextIO]:
    """A stream that nobody reads, or on a full disk."""
    if request.param == "full":
        if not os.path.exists("/dev/full"):
            pytest.skip("no /dev/full")
        raw = os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb")
    else:
        reader, writer = os.pipe()
        os.close(reader)
        raw = os.fdopen(writer, "wb")
    stream = io.TextIOWrapper(raw, encoding="utf-8")
    yield stream
    stream.close()  # raises, where something that cannot be written is left in it


@pytest.fixture
def typed(small_overrides: tuple[str, ...], small_file: Path, tmp_path: Path) -> list[str]:
    paths = (f"data.path={small_file}", f"data.cache_dir={tmp_path / 'cache'}", f"hydra.run.dir={tmp_path / 'run'}")
    return ["train", *small_overrides, *paths, "trainer.max_steps=3"]


@pytest.mark.parametrize("error", GONE, ids=lambda error: type(error).__name__)
def test_a_run_is_trained_whatever_becomes_of_its_console(
    error: Exception, small_config: Config, tmp_path: Path
) -> None:
    console = Console(file=Failing(error), force_terminal=True)  # with the live bar
    config = small_config("trainer.max_steps=3", "callbacks.progress.refresh_seconds=1e-6")
    trained = lstm_lm.train(config, tmp_path / "run", console=console)
    assert (trained.status, trained.train.steps) == ("completed", 3)


def test_a_run_is_trained_whatever_becomes_of_standard_output(
    lost: TextIO, typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", lost)
    assert main(typed) == 0
    assert summary.read(tmp_path / "run" / "summary.json").status == "completed"


def test_a_sweep_goes_on_too(lost: TextIO, typed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", lost)
    monkeypatch.setattr(fresh_process, "run", as_in_a_process)
    assert main([*typed[:-1], "trainer.max_steps=1,2", "-m", f"hydra.sweep.dir={tmp_path / 'sweep'}"]) == 0
    ends = [summary.read(path).status for path in (tmp_path / "sweep").glob("*/summary.json")]
    assert ends == ["completed", "completed"]


@pytest.mark.posix
@pytest.mark.parametrize("closed", first([(0, 1, 2), (1,), (2,)]))
def test_a_run_without_standard_streams(closed: tuple[int, ...], typed: list[str], tmp_path: Path) -> None:
    """The next files that are opened would get their numbers."""
    close = "".join(f"os.close({number}); " for number in closed)
    start = (
        f"import os, sys; {close}os.execv(sys.executable, [sys.executable, {str(ROOT / 'train.py')!r}, *sys.argv[1:]])"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", start, *typed[1:]], cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == 0
    assert summary.read(tmp_path / "run" / "summary.json").status == "completed"


def test_an_answer_that_nobody_reads_ends_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of any program in a pipe: the status that SIGPIPE would give, and no word."""
    monkeypatch.setattr(sys, "stdout", Failing(GONE[0]))
    assert run_in_shell(lambda: Console().print("a table"), answers=True) == 128 + 13
    assert capsys.readouterr().err == ""


def test_an_answer_that_cannot_be_written_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", Failing(GONE[2]))
    assert run_in_shell(lambda: Console().print("a table"), answers=True) == 1
    assert "No space left on device" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["generate", "evaluate", "score", "runs"])
def test_a_command_that_answers_needs_a_standard_output(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main([verb]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: standard output is closed, and this command writes its answer there"
    ]


def test_what_is_shown_instead_of_training_is_an_answer(
    lost: TextIO, typed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", lost)
    assert main([*typed, "--cfg", "job"]) in (1, 141)


def test_errors_end_nothing_that_cannot_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Failing(GONE[0]))
    assert main(["no-such-verb"]) == 2


def test_a_log_goes_on_once_there_is_room() -> None:
    class Filling(io.StringIO):
        full = True

        def write(self, text: str) -> int:
            if self.full:
                raise GONE[2]
            return super().write(text)

    log = Filling()
    display = Display(log)
    print("lost", file=display)
    log.full = False
    print("kept", file=display)
    assert log.getvalue() == "kept\n"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437", "utf-8"])
@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_a_letter_that_cannot_be_shown_ends_nothing(
    encoding: str, errors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the byte of a path that is no letter, which a file gets as it is."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, errors=errors, newline="\n"))
    with standard_streams(), for_people():
        print("é ☃ \udcff\udcfe.☃\ud800")
    shown = "é ☃ ".encode(encoding, "replace") + b"\xff\xfe." + "☃".encode(encoding, "replace") + b"?\n"
    assert written.getvalue() == shown


def test_a_letter_that_a_callers_console_lacks_ends_nothing() -> None:
    written = io.BytesIO()
    console = Console(file=io.TextIOWrapper(written, encoding="ascii"), width=80)
    with never_failing(console):
        console.print("a ☃")
    console.file.flush()
    assert written.getvalue().rstrip() == b"a ?"


def test_letters_that_an_answer_lost_are_counted() -> None:
    output = Output(io.TextIOWrapper(io.BytesIO(), encoding="cp1252", errors="replace"))
    for piece in ("é", "☃ and 日本", "\udcff"):
        output.write(piece)
    assert output.replaced == 3


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder whose name holds a byte that is no UTF-8."""
    folder = tmp_path / os.fsdecode(b"n\xff")
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("no such names on this file system")
    return folder


def test_a_text_and_a_cache_may_have_any_name(
    odd: Path, typed: list[str], small_text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (odd / os.fsdecode(b"t\xe9.txt")).write_text(small_text, encoding="utf-8")
    monkeypatch.chdir(odd)
    named = [f"data.path={odd / os.fsdecode(b't' + bytes([0xE9]) + b'.txt')}", f"data.cache_dir={odd / 'cache'}"]
    assert main([*typed, *named]) == 0
    assert "t\\udce9.txt" in summary.read(tmp_path / "run" / "summary.json").command
    assert main([*typed, *named, "resume=auto", "trainer.max_steps=5"]) == 0


def test_a_run_directory_may_have_any_name_but_for_tensorboard(
    odd: Path, typed: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    named = [*typed, f"hydra.run.dir={odd / 'run'}"]
    assert main(named) == 2
    assert "logger.tensorboard=false" in capfd.readouterr().err
    assert not (odd / "run").exists()
    assert main([*named, "logger.tensorboard=false"]) == 0
    assert main(["generate", f"run={odd / 'run'}", "device=cpu", "max_new_tokens=3"]) == 0
