"""`serve` as it is typed: it says where it listens, and ends as the other commands do."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cli_commands import ROOT, TINY, Here

import lstm_lm
from lstm_lm.runs.summary import Summary

INSTALLED = all(importlib.util.find_spec(package) for package in ("starlette", "uvicorn"))
NEEDS = pytest.mark.skipif(not INSTALLED, reason='what serve needs is not installed: pip install -e ".[serve]"')


@pytest.fixture
def run(here: Here, corpus: list[str]) -> Path:
    """A finished run in this folder."""
    assert here("train", *TINY, *corpus, "hydra.run.dir=outputs/first").status == 0
    return Path("outputs/first")


@contextmanager
def serving(*argv: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The command, its address, and the lines that it said before; killed at the end, if it has not ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lstm_lm", "serve", "port=0", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )
    try:
        assert process.stderr is not None
        said: list[str] = []
        while "http://" not in (line := process.stderr.readline()):
            assert line, said
            said.append(line)
        yield process, line.split()[0], said
    finally:
        process.kill()
        process.communicate()


def text(url: str) -> str:
    body = json.dumps({"prompt": "the", "max_tokens": 20, "temperature": 0, "echo": True}).encode()
    with urllib.request.urlopen(f"{url}/v1/completions", body, timeout=60) as answer:
        return str(json.load(answer)["choices"][0]["text"])


@NEEDS
@pytest.mark.posix
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.matrix)]
)
def test_it_answers_until_it_is_told_to_end(run: Path, number: int, status: int) -> None:
    with serving("run=first") as (process, url, said):
        assert [line.strip() for line in said] == [str(run / "checkpoints" / "best.ckpt")]
        assert url.startswith("http://127.0.0.1:")
        assert text(url) == lstm_lm.generate(run, "the", max_new_tokens=20, temperature=0)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert out == ""
    assert "Traceback" not in err


@NEEDS
@pytest.mark.posix
def test_a_run_that_is_still_training_is_served_as_far_as_it_has_come(run: Path) -> None:
    file = lstm_lm.load(run).run
    assert file is not None
    summary = json.loads(file.summary.read_text(encoding="utf-8"))
    file.summary.write_text(json.dumps(summary | {"status": "running"}), encoding="utf-8")
    assert Summary.begin("", 0).status == "running"
    with serving() as (_, url, said):
        assert "has not ended" in said[0]
        assert text(url).startswith("the")


@NEEDS
def test_a_port_in_use_is_one_line(here: Here, run: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        said = here("serve", f"port={port}").refused()
    assert f"port={port}: in use" in said
    assert len(said.splitlines()) == 1


@NEEDS
def test_what_is_wrong_is_said_before_it_listens(here: Here, run: Path) -> None:
    assert "port=70000" in here("serve", "port=70000").refused()
    assert "max_texts=0" in here("serve", "max_texts=0").refused()
    assert "no such directory" in here("serve", "port=0", "run=elsewhere").refused()
    assert "host=no.such.host.invalid" in here("serve", "host=no.such.host.invalid").refused()
    assert "host=192.0.2.1" in here("serve", "host=192.0.2.1").refused()
    assert "no sweeps" in here("serve", "-m").refused()


def test_missing_packages_are_named(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lstm_lm.cli.serve.PACKAGES", ("json", "no_such_package"))
    said = here("serve").refused()
    assert "no_such_package" in said
    assert "[serve]" in said
    assert "json," not in said


def test_its_help_fits_on_a_screen(here: Here) -> None:
    said = here("serve", "--help").out
    assert len(said.splitlines()) <= 40
    assert max(map(len, said.splitlines())) <= 80
