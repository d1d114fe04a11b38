"""`interactive=true`: one text that grows with every line that is typed."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cli_commands import ROOT, Apart

from lstm_lm.generation.text import TextSession
from lstm_lm.models.loading import load


def continued(trained: Path, turns: list[str], tokens: int) -> str:
    """What the loop should write, from the Python API."""
    loaded = load(runs_dir=trained / "outputs")
    session = TextSession(loaded.model, loaded.tokenizer, seed=1, temperature=0.8)
    written = ""
    for turn in turns:
        text = turn + "".join(session.write(turn, max_new_tokens=tokens))
        written += text if text.endswith("\n") else text + "\n"
    return written


def test_the_state_carries_on(trained: Path, apart: Apart) -> None:
    said = apart(
        "generate.py",
        "interactive=true",
        "device=cpu",
        "seed=1",
        "max_new_tokens=9",
        "prompt=the fox ",
        cwd=trained,
        text="jumps\n\nover",
    )
    assert said.status == 0, said.err
    assert said.out == continued(trained, ["the fox ", "jumps", "", "over"], 9)
    assert said.err.count("> ") == 4, "a sign for each line, and for the end"


def test_an_unknown_character_is_told_and_the_loop_goes_on(trained: Path, apart: Apart) -> None:
    said = apart(
        "generate.py",
        "interactive=true",
        "device=cpu",
        "seed=1",
        "max_new_tokens=9",
        cwd=trained,
        text="the Ä\nfox\n",
    )
    assert said.status == 0, said.err
    assert "'Ä'" in said.err
    assert said.out == continued(trained, ["fox"], 9)


class Loop:
    """A running loop; what it writes is read all the time, so that it never waits for a reader."""

    def __init__(self, folder: Path) -> None:
        self.out = self.err = ""
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "generate.py"), "interactive=true", "device=cpu", "max_new_tokens=100000000"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._readers = [threading.Thread(target=read) for read in (self._read_out, self._read_err)]
        for reader in self._readers:
            reader.start()

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        while piece := self.process.stdout.read(50):
            self.out += piece

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        while piece := self.process.stderr.read(1):
            self.err += piece

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)

    def wait_for(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not happened():
            assert time.monotonic() < deadline, (self.out[-500:], self.err)
            time.sleep(0.01)

    def end(self) -> int:
        assert self.process.stdin is not None
        self.process.stdin.close()
        status = self.process.wait(timeout=60)
        for reader in self._readers:
            reader.join()
        return status


@pytest.fixture
def loop(trained: Path) -> Iterator[Loop]:
    loop = Loop(trained)
    with loop.process:
        yield loop
        loop.process.kill()
        loop.end()


@pytest.mark.posix
def test_ctrl_c_stops_the_writing_and_then_the_loop(loop: Loop) -> None:
    for turn, line in enumerate(["the fox\n", "the dog\n"], start=1):
        loop.wait_for(lambda: loop.err.count("> ") == turn)  # noqa: B023
        before = len(loop.out)
        loop.type(line)
        loop.wait_for(lambda: len(loop.out) > before + 200)  # noqa: B023
        loop.process.send_signal(signal.SIGINT)
    loop.wait_for(lambda: loop.err.count("> ") == 3)
    assert loop.out.startswith("the fox")
    loop.process.send_signal(signal.SIGINT)
    assert loop.process.wait(timeout=60) == 130
    assert "Traceback" not in loop.err


TYPED = """
import sys
from lstm_lm.cli.prompt_loop import prompt_loop

def write(line):
    print("read", repr(line), file=sys.stderr, flush=True)
    return iter(())

prompt_loop(write, "", "type")
"""


@pytest.mark.posix
def test_at_a_terminal_a_line_can_be_edited() -> None:
    """`the fx`, one to the left, `o`: typed as a person does who mends a word, and then fetches it again."""
    import pty

    pytest.importorskip("readline")
    terminal, end = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "TERM": "xterm", "INPUTRC": os.devnull}
    command = [sys.executable, "-c", TYPED]
    with subprocess.Popen(
        command, env=environment, stdin=end, stdout=end, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(end)
        assert process.stderr is not None
        deadline = threading.Timer(60, process.kill)  # then what is waited for below ends, too
        deadline.start()
        shown, left, up = b"", b"\x1b[D", b"\x1b[A"
        for number, (keys, line) in enumerate([(b"the fx" + left + b"o\n", "the fox"), (up + b"\n", "the fox")], 1):
            while shown.count(b"> ") < number:  # only then does it take keys
                shown += os.read(terminal, 1000)
            os.write(terminal, keys)
            assert f"read {line!r}\n" in iter(process.stderr.readline, "")
        while shown.count(b"> ") < number + 1:
            shown += os.read(terminal, 1000)
        os.write(terminal, b"\x04")
        assert process.wait() == 0
        deadline.cancel()
    os.close(terminal)
